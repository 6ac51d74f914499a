import { View } from './view.js';

/** The state machine. */
export class MachineView extends View {}

customElements.define('machine-view', MachineView);
