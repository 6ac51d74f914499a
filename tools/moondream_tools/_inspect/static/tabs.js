/**
 * Tabs by the pattern of ARIA: arrows, Home and End move and select; only the selected tab is in
 * the order of the focus.
 *
 * @param {HTMLElement} element  has a `[role=tablist]`, and a panel for each tab
 * @param {(panel: HTMLElement) => void} shown  is called when a panel is shown
 */
export function setUpTabs(element, shown) {
  const tabs = /** @type {HTMLElement[]} */ ([...element.querySelectorAll('[role=tab]')]);

  /** @param {HTMLElement} selected */
  const select = (selected) => {
    for (const tab of tabs) {
      const panel = document.getElementById(tab.getAttribute('aria-controls') ?? '');
      const isSelected = tab === selected;
      tab.setAttribute('aria-selected', String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      if (panel === null) continue;
      panel.hidden = !isSelected;
      if (isSelected) shown(panel);
    }
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => select(tab));
    tab.addEventListener('keydown', (event) => {
      /** @type {{[key: string]: number}} */
      const places = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: -1 };
      const place = places[event.key];
      if (place === undefined) return;
      event.preventDefault();
      const other = /** @type {HTMLElement} */ (tabs.at(place % tabs.length));
      other.focus();
      select(other);
    });
  }
}
