/** Line icons on a 16 x 16 grid, drawn for this widget. */
import { s } from '../core/dom';

const PATHS = {
  undo: 'M6 3L2.5 6.5L6 10M2.8 6.5H9.5A4 3.6 0 0 1 9.5 13.5H6.5',
  redo: 'M10 3L13.5 6.5L10 10M13.2 6.5H6.5A4 3.6 0 0 0 6.5 13.5H9.5',
  run: 'M5 3.2V12.8L12.6 8Z',
  cancel: 'M4.5 4.5H11.5V11.5H4.5Z',
  fit: 'M2.5 6V2.5H6M10 2.5H13.5V6M13.5 10V13.5H10M6 13.5H2.5V10',
  width: 'M2.5 3.5V12.5M13.5 3.5V12.5M5 8H11M6.8 6L4.8 8L6.8 10M9.2 6L11.2 8L9.2 10',
  plus: 'M8 3.5V12.5M3.5 8H12.5',
  minus: 'M3.5 8H12.5',
  search: 'M7 11.5A4.5 4.5 0 1 1 7 2.5A4.5 4.5 0 0 1 7 11.5M10.3 10.3L13.5 13.5',
  table: 'M2.5 3.5H13.5V12.5H2.5ZM2.5 6.5H13.5M2.5 9.5H13.5M6.5 6.5V12.5',
  graph: 'M5.5 2.5H10.5V5.5H5.5ZM2 10.5H6.5V13.5H2ZM9.5 10.5H14V13.5H9.5ZM8 5.5V8M4.2 10.5V8H11.8V10.5',
  before: 'M8 1.5V5M6.2 3.4L8 5.2L9.8 3.4M3.5 7.5H12.5V13.5H3.5Z',
  after: 'M3.5 2.5H12.5V8.5H3.5ZM8 10.5V14M6.2 12.4L8 14.2L9.8 12.4',
  collapse: 'M4.5 2.5L8 6L11.5 2.5M4.5 13.5L8 10L11.5 13.5',
  expand: 'M4.5 6L8 2.5L11.5 6M4.5 10L8 13.5L11.5 10',
  apply: 'M3 8H12.5M9 4.5L12.5 8L9 11.5',
  pointer: 'M4 2.5L12.5 7.5L8.7 8.7L6.8 12.5Z',
  alert: 'M8 2.2L14.2 13H1.8ZM8 6.2V9.4M8 11.2V11.3'
} as const;

export type IconName = keyof typeof PATHS;

/** Make icon `name`; it says nothing to screen readers, its button does. */
export function icon(name: IconName): SVGSVGElement {
  const filled = name === 'run' || name === 'cancel';
  return s(
    'svg',
    {
      class: `qwb-icon${filled ? ' qwb-filled' : ''}`,
      viewBox: '0 0 16 16',
      width: 16,
      height: 16,
      'aria-hidden': 'true'
    },
    s('path', { d: PATHS[name] })
  );
}
