import { el } from './dom.js';

/** The tabs, and their panels: `break` has a `<break-panel>`. */
const TABS = { break: 'Break', compare: 'Compare', 'take-away': 'Take away', ask: 'Ask' };

/**
 * Build tabs by the pattern of ARIA: arrows, Home and End move and select; only the selected tab is
 * in the order of the focus.
 *
 * @param {HTMLElement} element  gets them
 * @param {() => void} shown  is called when a panel is shown
 */
export function setUpTabs(element, shown) {
  const tabs = Object.entries(TABS).map(([name, title]) => el('button', {
    role: 'tab', id: `tab-${name}`, 'aria-controls': `panel-${name}` }, title));
  const panels = Object.keys(TABS).map((name) => el('div', { role: 'tabpanel', tabindex: 0,
    id: `panel-${name}`, 'aria-labelledby': `tab-${name}` },
  document.createElement(`${name}-panel`)));
  /** @param {number} selected */
  const select = (selected) => {
    for (const [i, tab] of tabs.entries()) {
      tab.ariaSelected = String(i === selected);
      tab.tabIndex = i === selected ? 0 : -1;
      panels[i].hidden = i !== selected;
    }
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => {
      select(i);
      shown();
    });
    tab.addEventListener('keydown', (event) => {
      /** @type {{[key: string]: number}} */
      const places = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: -1 };
      const other = tabs.at(places[event.key] % tabs.length);
      if (!(event.key in places) || other === undefined) return;
      event.preventDefault();
      other.focus();
      other.click();
    });
  }
  element.append(el('div', { role: 'tablist', 'aria-label': 'Tools' }, ...tabs), ...panels);
  select(0);
}
