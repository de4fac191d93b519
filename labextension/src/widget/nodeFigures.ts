/** The figures of one node: what it loses against float, and the tensors at both its ends. Only shown, never changed. */
import { formatCosine, formatNumber } from '../core/describe';
import { h, type Child } from '../core/dom';
import type { NodeDetails, TensorInfo } from './details';
import { pairs, section } from './parts';

const METRICS: [keyof NonNullable<NodeDetails['metrics']>, string][] = [
  ['cosine', 'cosine'],
  ['l1', 'L1'],
  ['mse', 'MSE'],
  ['atol', 'max error'],
  ['sqnr', 'SQNR (dB)']
];

/** How far the node is from what it gives in float. */
export function metrics(panel: Partial<NodeDetails>): Child {
  const rows = METRICS.flatMap(([key, name]): [string, Child][] => {
    const value = panel.metrics?.[key];
    return value === undefined || value === null
      ? []
      : [[name, key === 'cosine' ? formatCosine(Number(value)) : formatNumber(Number(value))]];
  });
  return rows.length > 0 && section('Against float', pairs(rows));
}

/** What the node reads and writes: shape, dtype and scale. */
export function tensors(panel: Partial<NodeDetails>): Child {
  const row = (way: string) => (tensor: TensorInfo) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row', title: tensor.value }, `${way} ${tensor.value}`),
      h('td', {}, Array.isArray(tensor.shape) ? tensor.shape.join('\u00d7') : String(tensor.shape)),
      h('td', {}, tensor.dtype),
      h('td', {}, scaleText(tensor.scale))
    );
  const rows = [...(panel.inputs ?? []).map(row('in')), ...(panel.outputs ?? []).map(row('out'))];
  const head = ['value', 'shape', 'dtype', 'scale'].map(name => h('th', { scope: 'col' }, name));
  return (
    rows.length > 0 &&
    section(
      'Tensors',
      h(
        'div',
        { class: 'qwb-scroll' },
        h('table', { class: 'qwb-tensors' }, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows))
      )
    )
  );
}

function scaleText(scale: TensorInfo['scale']): string {
  if (Array.isArray(scale)) {
    return scale.length === 1 ? formatNumber(scale[0]) : `${scale.length} scales`;
  }
  return typeof scale === 'string' ? scale : formatNumber(scale);
}
