// Making and finding elements. Text is only ever set as text.

export const find = (id) => document.getElementById(id);

/** An element with properties, custom properties (`--name`), attributes, and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  set(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
}

/** For those who hear the page: text that is not seen. */
export const unseen = (text) => make("span", { className: "unseen" }, text);

/** Hides an element; whoever was in it goes on at the answer. */
export function hide(element) {
  if (element.contains(document.activeElement)) find("work").focus({ preventScroll: true });
  element.hidden = true;
}

/** Says what has happened, once, to those who hear the page, unless it happened where it is hidden. */
export function announce(text, where = document.body) {
  if (!where.closest("[hidden]")) find("status").textContent = text;
}

/** A button that copies a text, and says so. */
export function copyButton(name, text) {
  const button = make("button", { type: "button" }, name);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy by hand";
    }
    announce(button.textContent);
    setTimeout(() => { button.textContent = name; }, 2000);
  });
  return button;
}
