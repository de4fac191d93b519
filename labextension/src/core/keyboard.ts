/** Which key does what in the graph. A table, so that the help text and the behaviour cannot differ. */
import type { Direction } from './links';

export type Action =
  | { do: 'walk'; direction: Direction }
  | {
      do:
        | 'select'
        | 'add'
        | 'toggle'
        | 'toggleAll'
        | 'zoomIn'
        | 'zoomOut'
        | 'fit'
        | 'fitWidth'
        | 'first'
        | 'last'
        | 'search'
        | 'leave'
        | 'undo'
        | 'redo';
    };

interface Binding {
  keys: readonly string[];
  action: Action;
}

const BINDINGS: readonly Binding[] = [
  { keys: ['ArrowDown'], action: { do: 'walk', direction: 'down' } },
  { keys: ['ArrowUp'], action: { do: 'walk', direction: 'up' } },
  { keys: ['ArrowLeft'], action: { do: 'walk', direction: 'left' } },
  { keys: ['ArrowRight'], action: { do: 'walk', direction: 'right' } },
  { keys: ['Enter', ' '], action: { do: 'select' } },
  { keys: ['e', 'c'], action: { do: 'toggle' } },
  { keys: ['m'], action: { do: 'toggleAll' } },
  { keys: ['+', '='], action: { do: 'zoomIn' } },
  { keys: ['-', '_'], action: { do: 'zoomOut' } },
  { keys: ['0', 'f'], action: { do: 'fit' } },
  { keys: ['w'], action: { do: 'fitWidth' } },
  { keys: ['Home'], action: { do: 'first' } },
  { keys: ['End'], action: { do: 'last' } },
  { keys: ['/'], action: { do: 'search' } },
  { keys: ['Escape'], action: { do: 'leave' } }
];

/** What the user may be told. */
export const KEY_HELP =
  'Arrow keys follow the edges, Enter selects, Shift+Enter selects one more, e opens or closes a module, m all of them, + and - zoom, 0 or f fits, w fits the width, ' +
  '/ searches, Ctrl+Z undoes, Escape leaves.';

/** The action of a key press, or null when the key is not ours. */
export function actionOf(event: KeyboardEvent): Action | null {
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === 'z') {
      return { do: event.shiftKey ? 'redo' : 'undo' };
    }
    return key === 'y' ? { do: 'redo' } : null;
  }
  if (event.shiftKey && (event.key === 'Enter' || event.key === ' ')) {
    return { do: 'add' };
  }
  if (event.altKey) {
    return null;
  }
  return BINDINGS.find(binding => binding.keys.includes(event.key))?.action ?? null;
}
