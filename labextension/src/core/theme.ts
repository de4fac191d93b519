/**
 * Finds out whether the page is light or dark and hands the palette to CSS as custom properties (`--qwb-...`).
 *
 * JupyterLab says it on <body>, VS Code by a class, everything else by the media query of the system.
 */
import { THEMES, type ThemeName } from './palette';

/** Theme of the page that `doc` belongs to. */
function detectTheme(doc: Document): ThemeName {
  const body = doc.body;
  const lab = body.dataset.jpThemeLight;
  if (lab !== undefined) {
    return lab === 'false' ? 'dark' : 'light';
  }
  if (/\bvscode-(dark|high-contrast)\b/.test(body.className)) {
    return 'dark';
  }
  if (/\bvscode-light\b/.test(body.className)) {
    return 'light';
  }
  return doc.defaultView?.matchMedia?.('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

/** Write the palette of theme `name` on `root`. */
function applyTheme(root: HTMLElement, name: ThemeName): void {
  const theme = THEMES[name];
  const set = (key: string, value: string) => root.style.setProperty(`--qwb-${key}`, value);
  root.dataset.theme = name;
  root.style.colorScheme = name;
  for (const key of ['background', 'surface', 'text', 'muted', 'edge', 'frame'] as const) {
    set(`palette-${key}`, theme[key]);
  }
  for (const key of ['selected', 'edited', 'better', 'worse'] as const) {
    set(key, theme[key]);
  }
  const swatches = {
    bpu: theme.placement.BPU,
    cpu: theme.placement.CPU,
    none: theme.placement.NONE,
    terminal: theme.terminal,
    module: theme.module
  };
  for (const [key, swatch] of Object.entries(swatches)) {
    set(`${key}-fill`, swatch.fill);
    set(`${key}-stroke`, swatch.stroke);
    set(`${key}-text`, swatch.text);
  }
  for (const [key, colour] of Object.entries(theme.boundary)) {
    set(key, colour);
  }
  theme.hues.forEach((hue, index) => {
    set(`hue-${index}-fill`, hue.fill);
    set(`hue-${index}-stroke`, hue.stroke);
    set(`hue-${index}-text`, hue.text);
  });
  theme.cosine.forEach((step, index) => {
    set(`heat-${index}-fill`, step.fill);
    set(`heat-${index}-text`, step.text);
  });
}

/** Apply the theme of the page to `root` now and whenever it changes, until `signal` aborts. */
export function followTheme(root: HTMLElement, signal: AbortSignal, changed?: () => void): void {
  const doc = root.ownerDocument;
  const update = () => {
    const name = detectTheme(doc);
    if (root.dataset.theme !== name) {
      applyTheme(root, name);
      changed?.();
    }
  };
  update();
  const observer = new MutationObserver(update);
  observer.observe(doc.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'class'] });
  signal.addEventListener('abort', () => observer.disconnect());
  doc.defaultView
    ?.matchMedia?.('(prefers-color-scheme: dark)')
    .addEventListener('change', update, { signal });
}
