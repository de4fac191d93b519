/** What is selected after one more node was pressed: it is added, or taken out where it was in. */

export interface Selection {
  /** The node that the panel is about while it is the only one. */
  selected: string;
  /** All of them where there are several; empty for one or none. */
  picked: string[];
}

export function toggled({ selected, picked }: Selection, id: string): Selection {
  const before = picked.length > 0 ? picked : selected ? [selected] : [];
  const after = before.includes(id) ? before.filter(other => other !== id) : [...before, id];
  return after.length > 1
    ? { selected: before.includes(id) ? after[after.length - 1] : id, picked: after }
    : { selected: after[0] ?? '', picked: [] };
}
