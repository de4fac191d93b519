/** The anywidget entry: one App per view, ended by anywidget's signal or by the returned function, whichever comes first. */
import type { RenderProps } from '@anywidget/types';
import { App } from './app';
import type { Model } from './state';
import './style/index.css';

interface Props {
  model: unknown;
  el: HTMLElement;
  signal?: AbortSignal;
}

function render({ model, el, signal }: Props | (RenderProps & { signal?: AbortSignal })): () => void {
  const life = new AbortController();
  signal?.addEventListener('abort', () => life.abort());
  const app = new App(model as Model, life.signal);
  el.append(app.element);
  return () => {
    life.abort();
    app.element.remove();
  };
}

export default { render };
