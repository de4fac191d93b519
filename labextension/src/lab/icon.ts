/** The mark of the product: three boxes of a graph, the last one on the other processor. */
import { LabIcon } from '@jupyterlab/ui-components';

export const workbenchIcon = new LabIcon({
  name: 'qworkbench:workbench',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.8">
    <rect x="7.5" y="2.5" width="9" height="5" rx="1.5"/>
    <rect x="1.5" y="15.5" width="8.5" height="6" rx="1.5"/>
    <path d="M15.5 15.5h5.5l1.5 1.5v3l-1.5 1.5h-5.5l-1.5-1.5v-3z" stroke-dasharray="2.4 1.4"/>
    <path d="M12 7.5v4M5.7 15.5v-4h12.5v4"/>
  </g>
</svg>`
});
