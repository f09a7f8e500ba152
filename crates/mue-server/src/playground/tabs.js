// Tabs: arrow keys, home and end move between them, as the pattern of ARIA has it.

/** Calls `shown(panel)` whenever another panel is. */
export function tabs(list, shown) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const panel = (tab) => document.getElementById(tab.getAttribute("aria-controls"));
  const select = (chosen) => {
    for (const tab of all) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      panel(tab).hidden = !selected;
    }
    shown(panel(chosen));
  };
  const target = (key, place) => {
    switch (key) {
      case "ArrowRight": return all[(place + 1) % all.length];
      case "ArrowLeft": return all[(place + all.length - 1) % all.length];
      case "Home": return all[0];
      case "End": return all[all.length - 1];
      default: return null;
    }
  };
  all.forEach((tab, place) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const next = target(event.key, place);
      if (!next) return;
      event.preventDefault();
      next.focus();
      select(next);
    });
  });
}
