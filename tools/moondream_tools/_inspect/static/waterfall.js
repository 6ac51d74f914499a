import { View } from './view.js';

/** The waterfall. */
export class WaterfallView extends View {}

customElements.define('waterfall-view', WaterfallView);
