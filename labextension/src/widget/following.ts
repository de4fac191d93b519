/**
 * Carries state from the model to the parts of the widget: which of them follows which trait.
 *
 * What the user wants goes the other way, through `Wishes`. Nothing is kept here: each function reads the model and sets parts.
 */
import type { GraphCanvas } from '../core/canvas';
import { findRows } from '../core/search';
import { EMPTY_VIEW, asView } from '../core/types';
import type { Colours } from './colours';
import type { ComparePane } from './comparePane';
import type { Finder } from './finder';
import { historyList } from './history';
import type { Inspector } from './inspector';
import type { NodeTable } from './nodeTable';
import { outputSentence, outputStrip } from './outputs';
import { FOLLOWED, type Panels } from './panels/panels';
import type { Setup } from './setup';
import { watch, type Model } from './state';
import type { StatusLine } from './statusLine';
import type { Toolbar } from './toolbar';
import type { Wishes } from './wishes';

/** What is kept up to date. */
export interface Parts {
  readonly element: HTMLElement;
  readonly canvas: GraphCanvas;
  readonly compare: ComparePane;
  readonly colours: Colours;
  readonly finder: Finder;
  readonly toolbar: Toolbar;
  readonly setup: Setup;
  readonly inspector: Inspector;
  readonly panels: Panels;
  readonly table: NodeTable;
  readonly status: StatusLine;
  readonly history: HTMLElement;
  readonly outputs: HTMLElement;
  /** Stands where there is no graph. */
  readonly message: HTMLElement;
  readonly wishes: Wishes;
  /** Tell screen readers. */
  announce(text: string): void;
}

type Update = (model: Model, parts: Parts) => void;

/** Called at first, and whenever one of the traits changes. */
const ALWAYS: readonly [Parameters<typeof watch>[1], Update][] = [
  [['view'], updateView],
  [['colouring'], (_, parts) => parts.colours.update()],
  [['selected', 'picked', 'panel'], updateSelection],
  [['comparison', 'outputs'], updateComparison],
  [['outputs'], updateOutputs],
  [['history', 'code'], updateHistory],
  [['settings', 'history', 'comparison', 'status', 'flags'], updateSetup],
  [['flags'], updateFlags],
  [['inputs', 'found_channels', 'settings'], updateSelection],
  [FOLLOWED, updatePanels],
  [['table'], updateTable],
  [['view', 'flags', 'status', 'error'], updateStatus]
];

/** Called with changes only. */
const CHANGES: readonly [Parameters<typeof watch>[1], Update][] = [
  [['found_bisect'], revealRegion],
  [['outputs'], (model, parts) => parts.announce(outputSentence(model.get('outputs') ?? []))],
  [['error'], refuse],
  [['selected'], updateSelected]
];

/** Bring all parts up to date, now and with every change, until `signal` aborts. */
export function follow(model: Model, parts: Parts, signal: AbortSignal): void {
  for (const [keys, update] of ALWAYS) {
    watch(model, keys, () => update(model, parts), signal);
    update(model, parts);
  }
  for (const [keys, update] of CHANGES) {
    watch(model, keys, () => update(model, parts), signal);
  }
  updateSelected(model, parts);
}

function updateSelected(model: Model, { canvas }: Parts): void {
  canvas.select(model.get('selected') ?? '');
}

export function updateTable(model: Model, parts: Parts): void {
  parts.table.update(
    findRows(parts.toolbar.search.value, model.get('table') ?? []),
    model.get('selected') ?? '',
    model.get('picked') ?? []
  );
}

export function updatePanels(model: Model, parts: Parts): void {
  const { canvas, panels } = parts;
  panels.update(model);
  const found = model.get('found_bisect') ?? {};
  const region = panels.current === 'region' ? (found.ops ?? []) : [];
  canvas.setRegion(region.flatMap(name => [name, `input:${name}`, ...foldedAround(parts, name)]));
}

function updateView(model: Model, parts: Parts): void {
  const { canvas, toolbar } = parts;
  const view = asView(model.get('view')) ?? EMPTY_VIEW;
  parts.message.hidden = view.nodes.length > 0;
  canvas.setView(view);
  if (parts.wishes.takeFitting()) {
    canvas.fitWidth();
  }
  toolbar.showFolded(view.modules.length, view.collapsed.length > 0);
  parts.colours.drawLegend();
  canvas.setDiffering(new Map(Object.entries(model.get('comparison')?.nodes ?? {})));
  parts.finder.query(toolbar.search.value, true);
  updateSelection(model, parts);
}

function updateSelection(model: Model, parts: Parts): void {
  parts.canvas.pick(model.get('picked') ?? []);
  parts.inspector.update(parts.canvas.shown, model.get('selected') ?? '', model.get('panel') ?? {}, {
    settings: model.get('settings') ?? {},
    inputs: model.get('inputs') ?? [],
    channels: model.get('found_channels') ?? {},
    channelsStanding: model.get('standing')?.channels
  });
  updateTable(model, parts);
}

/** Take back what the kernel refused, and say why where it was asked for. */
function refuse(model: Model, parts: Parts): void {
  const { inspector } = parts;
  inspector.refuse(model.get('error') ?? '');
  inspector.reset();
  updateSelection(model, parts);
}

function updateOutputs(model: Model, parts: Parts): void {
  parts.outputs.replaceChildren(
    ...outputStrip(model.get('outputs') ?? []).filter(child => child instanceof Node)
  );
}

function updateHistory(model: Model, parts: Parts): void {
  parts.history.replaceChildren(
    historyList(
      model.get('history') ?? [],
      model.get('code') ?? '',
      message => parts.wishes.send(message),
      text => parts.announce(text)
    )
  );
}

function updateStatus(model: Model, parts: Parts): void {
  const flags = model.get('flags') ?? {};
  const status = model.get('status') ?? {};
  parts.toolbar.update(parts.canvas.shown.title, flags, status);
  parts.status.update(status, flags, model.get('error') ?? '');
  parts.element.toggleAttribute('data-running', status.state === 'running');
  parts.canvas.setRunning(status.state === 'running' ? (status.text ?? '') : '');
}

function updateSetup(model: Model, parts: Parts): void {
  const comparison = model.get('comparison') ?? {};
  parts.setup.update(
    model.get('settings') ?? {},
    model.get('history') ?? [],
    comparison.index ?? null,
    model.get('status') ?? {},
    model.get('flags')?.sensitivity_stale === true
  );
}

/** Mark sensitivities that were measured before the newest edits, wherever they are. */
function updateFlags(model: Model, parts: Parts): void {
  parts.table.staleSensitivity = model.get('flags')?.sensitivity_stale === true;
  parts.colours.updateAge();
}

/** Show or end the A/B view. */
function updateComparison(model: Model, parts: Parts): void {
  const { canvas, colours, compare, element, table } = parts;
  const comparison = model.get('comparison') ?? {};
  const opening = compare.element.hidden && comparison.view !== undefined;
  const differing = new Map(Object.entries(comparison.nodes ?? {}));
  compare.update(comparison, model.get('outputs') ?? [], colours.current);
  element.toggleAttribute('data-comparing', comparison.view !== undefined);
  canvas.setDiffering(differing);
  table.setDiffering(differing);
  if (opening) {
    requestAnimationFrame(() => compare.together(canvas));
  }
}

/** Bring the region that was just found into sight. */
function revealRegion(model: Model, parts: Parts): void {
  const { canvas, panels } = parts;
  const { ops = [], partial } = model.get('found_bisect') ?? {};
  if (!partial && ops.length > 0 && panels.current === 'region') {
    canvas.reveal(foldedAround(parts, ops[0])[0] ?? ops[0]);
  }
}

/** The folded module that node `name` is drawn in, if it is. */
function foldedAround({ canvas }: Parts, name: string): string[] {
  return canvas.shown.collapsed.filter(path => name.startsWith(`${path}.`));
}
