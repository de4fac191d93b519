/** What the tests share: the fixtures of the Python tests, a model without a kernel, and events as a user makes them. */
import { readFileSync } from 'node:fs';
import { vi } from 'vitest';
import type { GraphView } from '../core/types';
import type { NodeDetails } from '../widget/details';
import type { Message } from '../widget/messages';
import type { Model, TableRow, Traits } from '../widget/state';

export function fixture(name: string): unknown {
  return JSON.parse(readFileSync(`../tests/fixtures/${name}`, 'utf-8')) as unknown;
}

export const view = (): GraphView => fixture('view.json') as GraphView;

/** The rows of the node table of `view`. */
export const tableRows = (): TableRow[] =>
  view()
    .nodes.filter(node => node.kind === 'op')
    .map(({ id, op, on, dtype, cosine, l1, reason }) => ({ id, op, on, dtype, cosine, l1, reason }));

export function details(name: string, change: Partial<NodeDetails> = {}): Partial<NodeDetails> {
  return {
    name,
    op: 'Softmax',
    on: 'CPU',
    quant_class: 'manual',
    module: 'head',
    reason: 'softmax stays on the CPU',
    facts: ['Softmax is manual'],
    ways: [
      { text: 'run it on the BPU', edits: [{ kind: 'SetPlacement', node: name, on: 'bpu' }] },
      { text: 'drop it from the model', edits: [] }
    ],
    threshold: 5.31,
    scale: 0.0418,
    fixed_scale: false,
    dtype: { input: 'int8', weight: null, output: 'int8' },
    requested: { on: null, input: null, weight: null, output: null, scale: null },
    allowed: {
      on: ['auto', 'bpu', 'cpu'],
      input: ['int8'],
      weight: [],
      output: ['int8', 'int16'],
      unitconv: true
    },
    metrics: { cosine: 0.9931, l1: 0.0037, sqnr: 'Infinity' },
    ...change
  };
}

export interface FakeModel extends Model {
  set: <K extends keyof Traits>(key: K, value: Traits[K]) => void;
  sent: Message[];
  saves: ReturnType<typeof vi.fn>;
  listeners: () => number;
  /** Call the listeners of an event of the host. */
  emit: (event: string) => void;
}

export function fakeModel(state: Partial<Traits> = {}): FakeModel {
  const traits: Partial<Traits> = {
    view: view(),
    selected: '',
    panel: {},
    outputs: [],
    history: [],
    table: [],
    status: { state: 'idle', text: '', done: 0, total: 0 },
    flags: { can_undo: false, can_redo: false, stale: false, march: 'bayes-e' },
    error: '',
    ...state
  };
  const listeners = new Map<string, Set<() => void>>();
  const saves = vi.fn();
  const sent: Message[] = [];
  return {
    sent,
    saves,
    listeners: () => [...listeners.values()].reduce((sum, group) => sum + group.size, 0),
    emit: event => listeners.get(event)?.forEach(listener => listener()),
    get: key => traits[key] as never,
    set: (key, value) => {
      traits[key] = value;
      listeners.get(`change:${key}`)?.forEach(listener => listener());
    },
    save_changes: saves,
    send: message => void sent.push(message),
    on: (event, callback) => {
      const group = listeners.get(event) ?? new Set();
      listeners.set(event, group.add(callback));
    },
    off: (event, callback) => void listeners.get(event)?.delete(callback)
  };
}

export function press(target: Element, key: string, more: KeyboardEventInit = {}): void {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }));
}

export function click(target: Element): void {
  target.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
}
