// The picture: dropped, pasted, picked or a sample.

import { file } from "./api.js";
import { announce, find, make } from "./dom.js";
import { SAMPLES } from "./samples.js";

/** Calls `chosen({blob, name, url, sample})` whenever there is another picture, or `failed(error, again)`. */
export function pictures(chosen, failed) {
  /** Counts choices: a sample that arrives after another choice is not wanted any more. */
  let turn = 0;
  const use = (picture, alt) => {
    turn += 1;
    show(picture, alt);
    chosen(picture);
  };
  const useFile = (own) => {
    const name = own.name || "picture.png";
    use({ blob: own, name, url: null, sample: null }, "The chosen picture");
    announce(`Picture: ${name}`);
  };
  const useSample = async (sample) => {
    const url = `playground/samples/${sample.file}`;
    turn += 1;
    const own = turn;
    try {
      const blob = await file(url);
      if (own === turn) use({ blob, name: sample.file, url, sample }, sample.shows);
    } catch (error) {
      if (own === turn) failed(error, () => useSample(sample));
    }
  };
  find("file").addEventListener("change", (event) => {
    const [picked] = event.target.files;
    if (picked) useFile(picked);
    // So that the same file can be chosen again after it has changed.
    event.target.value = "";
  });
  document.addEventListener("paste", (event) => {
    // Office programs copy words with a picture of them.
    if (event.target.closest?.("input") && event.clipboardData.types.includes("text/plain")) return;
    const pasted = [...event.clipboardData.files].find(isPicture);
    if (pasted) useFile(pasted);
  });
  onDrop(useFile);
  watchPreview();
  find("samples").append(...SAMPLES.map((sample) => thumbnail(sample, useSample)));
  useSample(SAMPLES[0]);
}

/** Some files that a browser cannot show are pictures all the same. */
function watchPreview() {
  find("preview").addEventListener("error", (event) => {
    event.target.hidden = true;
    find("picture-name").append(" (no preview)");
  });
}

function thumbnail(sample, useSample) {
  const image = make("img", { src: `playground/samples/${sample.file}`, alt: sample.shows, width: 96, height: 96 });
  const button = make("button", { type: "button", "data-file": sample.file, "aria-pressed": "false" }, image);
  button.addEventListener("click", () => useSample(sample));
  return make("li", {}, button);
}

function show({ blob, name, sample }, alt) {
  const preview = find("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(blob);
  preview.alt = alt;
  preview.hidden = false;
  find("picture-name").textContent = name;
  for (const button of find("samples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.file === sample?.file));
  }
}

function isPicture(file) {
  return file.type.startsWith("image/");
}

/** Anywhere on the page, so that nobody has to aim. */
function onDrop(useFile) {
  const drop = find("drop");
  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.classList.add("is-dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("is-dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.classList.remove("is-dropping");
    const [dropped] = event.dataTransfer.files;
    if (dropped) useFile(dropped);
  });
}
