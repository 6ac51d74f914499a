import { View } from './view.js';

/** Everything of the selected item. */
export class DetailsView extends View {}

customElements.define('details-view', DetailsView);
