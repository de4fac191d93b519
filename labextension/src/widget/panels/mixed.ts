/** Mixed precision: how little int16 is enough, or a whole pipeline of the tuning guide; applied as one step. */
import { h } from '../../core/dom';
import type { FoundTrials, Standing } from '../found';
import { button, segmented } from '../parts';
import type { Model, Status } from '../state';
import { AskButton, METRICS, StaleNote, choice, entry, type Asking, type Panel } from './ask';
import { TrialsView } from './trials';

let count = 0;

/** One way to search, with its form and its result. */
class Way {
  readonly element: HTMLElement;
  private readonly trials: TrialsView;
  private readonly stale: StaleNote;
  private readonly start: AskButton;
  private readonly use: HTMLButtonElement;

  constructor(
    private readonly analysis: 'mixed_precision' | 'recipe',
    form: HTMLElement[],
    text: string,
    title: string,
    ask: () => void,
    private readonly asking: Asking
  ) {
    this.start = new AskButton(text, title, ask, asking.send);
    this.stale = new StaleNote(analysis, 'Applied: the model is as this result proposes.', ask);
    this.use = button({ icon: 'apply', text: 'Apply', class: 'qwb-primary', key: `apply ${analysis}` }, () =>
      this.apply(undefined)
    );
    this.trials = new TrialsView(top => this.apply(top), h('div', { class: 'qwb-row' }, this.use));
    this.element = h(
      'div',
      { class: 'qwb-way-of' },
      h('div', { class: 'qwb-form' }, ...form, this.start.element),
      this.stale.element,
      this.trials.element
    );
  }

  update(found: Partial<FoundTrials>, standing: Standing, status: Partial<Status>, possible: boolean): void {
    this.start.update(status, possible, true);
    this.stale.update(standing, found.partial, status);
    this.trials.update(found, this.analysis === 'mixed_precision');
    const edits = found.edits ?? 0;
    this.use.hidden = found.partial !== false || edits === 0 || standing[this.analysis] === 'applied';
    this.use.lastElementChild!.textContent = `Apply ${edits} edit${edits === 1 ? '' : 's'} as one step`;
  }

  private apply(top: number | undefined): void {
    this.asking.send(
      this.analysis === 'recipe'
        ? { type: 'apply', what: 'recipe' }
        : { type: 'apply', what: 'mixed_precision', ...(top === undefined ? {} : { top_k: top }) }
    );
  }
}

const number = (input: HTMLInputElement): number | undefined =>
  input.value.trim() === '' || !Number.isFinite(Number(input.value)) ? undefined : Number(input.value);

export class MixedPanel implements Panel {
  readonly element: HTMLElement;
  private readonly search: Way;
  private readonly recipe: Way;

  constructor(asking: Asking) {
    const metric = choice('metric', METRICS, 'Of the worst output');
    const target = entry(
      'target',
      'number',
      '0.999',
      'Value of the metric to reach; empty: what the budget allows'
    );
    target[1].value = '0.999';
    const dtype = choice('raise to', [
      ['int16', 'int16'],
      ['float16', 'float16']
    ]);
    const cost = choice('cost', [
      ['arithmetic', 'arithmetic'],
      ['latency', 'latency (est.)']
    ]);
    const budget = entry('budget', 'number', 'none', 'Largest cost: 1 is all int8, or microseconds');
    const ask = () => {
      const [goal, most] = [number(target[1]), number(budget[1])];
      const none = goal === undefined && most === undefined;
      target[1].setCustomValidity(none ? 'Give a target, a budget, or both.' : '');
      if (target[1].reportValidity()) {
        asking.send({
          type: 'analyse',
          analysis: 'mixed_precision',
          options: {
            metric: metric[1].value,
            dtype: dtype[1].value,
            cost: cost[1].value,
            ...(goal === undefined ? {} : { target: goal }),
            ...(most === undefined ? {} : { budget: most })
          },
          ...asking.samples.asked
        });
      }
    };
    this.search = new Way(
      'mixed_precision',
      [asking.samples.field(), target[0], metric[0], dtype[0], cost[0], budget[0]],
      'Search',
      'Find the smallest share that reaches the target',
      ask,
      asking
    );
    const name = choice('recipe', [
      ['j6e', 'J6E: int16, int8, mixed'],
      ['j6m', 'J6M: int16, int8, mixed'],
      ['j6p', 'J6P: gemm int16, float16']
    ]);
    const goal = entry('target', 'number', '0.999', 'Value of the metric to reach');
    goal[1].value = '0.999';
    const by = choice('metric', METRICS, 'Of the worst output');
    const run = () => {
      const value = number(goal[1]);
      goal[1].setCustomValidity(value === undefined ? 'A recipe needs a target, e.g. 0.999.' : '');
      if (goal[1].reportValidity()) {
        asking.send({
          type: 'analyse',
          analysis: 'recipe',
          options: { name: name[1].value, target: value, metric: by[1].value },
          ...asking.samples.asked
        });
      }
    };
    this.recipe = new Way(
      'recipe',
      [asking.samples.field(), name[0], goal[0], by[0]],
      'Run the recipe',
      'All steps of the guide, on the march of its board',
      run,
      asking
    );
    this.recipe.element.hidden = true;
    const ways = segmented(
      `qwb-mixed-${++count}`,
      'How to search',
      [
        { value: 'search', text: 'Smallest share', title: 'The smallest share that reaches a target' },
        { value: 'recipe', text: 'Recipe', title: 'A pipeline of the tuning guide' }
      ],
      'search',
      way => {
        this.search.element.hidden = way !== 'search';
        this.recipe.element.hidden = way !== 'recipe';
      }
    );
    this.element = h('div', { class: 'qwb-tab-content' }, ways, this.search.element, this.recipe.element);
  }

  update(model: Model): void {
    const [standing, status] = [model.get('standing') ?? {}, model.get('status') ?? {}];
    const possible = (model.get('settings')?.samples ?? 0) > 0;
    this.search.update(model.get('found_mixed_precision') ?? {}, standing, status, possible);
    this.recipe.update(model.get('found_recipe') ?? {}, standing, status, possible);
  }
}
