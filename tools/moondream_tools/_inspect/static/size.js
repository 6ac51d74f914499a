/** The size of an element inside its border, without having the browser lay out the page to ask. */
export class Size {
  width = 0;
  height = 0;

  /** @param {Element} element @param {() => void} invalidate  called when the size changes */
  constructor(element, invalidate) {
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.height = contentRect.height;
      invalidate();
    }).observe(element);
  }
}
