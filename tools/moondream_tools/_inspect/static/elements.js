// The custom elements that index.html names. Each module defines its own.
import './controls.js';
import './picture.js';
import './text.js';
import './lanes.js';
import './bytes.js';
import './waterfall.js';
import './machine.js';
import './details.js';
import './breaking.js';
import './compare.js';
import './take-away.js';
import './asking.js';
