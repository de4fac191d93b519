import type { RenderProps } from '@anywidget/types';
import type { GraphView } from '../core/types';
import './widget.css';

function render({ model, el }: RenderProps<{ view: GraphView }>): void {
  el.textContent = model.get('view').sentence;
}

export default { render };
