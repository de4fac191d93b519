/** The search: which nodes match what is typed, marked in the graph, and the walk from one match to the next. */
import type { GraphCanvas } from '../core/canvas';
import { find } from '../core/search';
import type { TableRow } from './state';
import type { Toolbar } from './toolbar';

export class Finder {
  private matches: string[] | null = null;
  private match = -1;

  /** `select` goes to a node; `narrowed` is called when there is another query. */
  constructor(
    private readonly canvas: GraphCanvas,
    private readonly toolbar: Toolbar,
    private readonly rows: () => readonly TableRow[],
    private readonly actions: { select: (id: string) => void; narrowed: () => void }
  ) {}

  /** Look for `text`; the first match comes into sight unless the view only changed under a query (`silent`). */
  query(text: string, silent = false): void {
    this.matches = find(text, this.canvas.shown.nodes, this.rows());
    this.canvas.setMatches(this.matches);
    this.match = -1;
    this.toolbar.showFound(this.matches && String(this.matches.length));
    this.actions.narrowed();
    if (!silent && this.matches && this.matches.length > 0) {
      this.canvas.reveal(this.matches[0]);
    }
  }

  /** Go to the next match, or to the one before. */
  next(step: 1 | -1): void {
    const { matches } = this;
    if (!matches || matches.length === 0) {
      return;
    }
    this.match =
      this.match < 0
        ? step > 0
          ? 0
          : matches.length - 1
        : (this.match + step + matches.length) % matches.length;
    const id = matches[this.match];
    this.toolbar.showFound(`${this.match + 1}/${matches.length}`);
    this.actions.select(id);
  }
}
