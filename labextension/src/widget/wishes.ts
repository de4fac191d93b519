/**
 * What the user wants, on its way to the model: select, edit, fold, undo, leave.
 *
 * Knows the model and the graph that shows it; what comes back from the model is the matter of `follow`.
 */
import type { GraphCanvas } from '../core/canvas';
import { nodeText } from '../core/describe';
import { pageSettings } from '../core/types';
import type { Edit, Message } from './messages';
import { toggled } from './selection';
import type { Model } from './state';

export class Wishes {
  private fitting = false;

  /** `announce` tells screen readers. */
  constructor(
    private readonly model: Model,
    private readonly canvas: GraphCanvas,
    private readonly announce: (text: string) => void
  ) {}

  send(message: Message): void {
    this.model.send(message);
  }

  /** Make `edits` one step; JupyterLab's settings say whether that runs the model. */
  edit(edits: Edit[]): void {
    const { autoRun } = pageSettings();
    this.send({ type: 'edit', edits, ...(autoRun === false ? { run: false } : {}) });
  }

  /** Select `id` (empty: nothing); `more` adds it or takes it out again, `reveal` brings it into sight. */
  select(id: string, more: boolean, reveal = false): void {
    const { model } = this;
    const before = { selected: model.get('selected') ?? '', picked: model.get('picked') ?? [] };
    const { selected, picked } = more && id ? toggled(before, id) : { selected: id, picked: [] };
    if (selected !== before.selected || picked.join('\n') !== before.picked.join('\n')) {
      model.set('picked', picked);
      model.set('selected', selected);
      model.save_changes();
    }
    if (reveal) {
      this.canvas.reveal(id, true);
    }
    if (picked.length > 1) {
      this.announce(`${picked.length} nodes selected`);
      return;
    }
    const node = this.canvas.shown.nodes.find(candidate => candidate.id === id);
    this.announce(node ? `${nodeText(node)}. ${node.reason}` : '');
  }

  /** Fold or open a module; one that is opened is no box any more, so nothing stays selected of it. */
  fold(module: string, collapsed: boolean): void {
    if (!collapsed && this.model.get('selected') === module) {
      this.select('', false);
    }
    this.send({ type: 'collapse', module, collapsed });
  }

  /** Fold the outer modules, or open all where any is folded; the whole picture is looked at then. */
  foldAll(): void {
    this.select('', false);
    this.fitting = true;
    this.send({ type: 'collapse', module: '', collapsed: this.canvas.shown.collapsed.length === 0 });
  }

  /** Whether the view that just came is to be looked at as a whole; asked once per view. */
  takeFitting(): boolean {
    const { fitting } = this;
    this.fitting = false;
    return fitting;
  }

  /** Let go of the selection; without one, leave `element` to the page around it. */
  leave(element: HTMLElement): void {
    if (this.model.get('selected')) {
      this.select('', false);
    } else {
      const page = element.parentElement?.closest<HTMLElement>('[tabindex]');
      (element.ownerDocument.activeElement as HTMLElement | null)?.blur();
      page?.focus({ preventScroll: true });
    }
  }
}
