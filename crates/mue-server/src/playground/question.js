// What is asked, once as a form for fetch and once as a curl command that asks the same.

import { key } from "./api.js";

export class Question {
  /** `picture` is `{blob, name, url}`, `fields` are pairs of name and text. */
  constructor(path, picture, fields) {
    Object.assign(this, { path, picture, fields });
  }

  get(name) {
    return this.fields.find(([other]) => other === name)?.[1];
  }

  with(name, value) {
    const others = this.fields.filter(([other]) => other !== name);
    return new Question(this.path, this.picture, [...others, [name, value]]);
  }

  form() {
    const form = new FormData();
    form.append("image", this.picture.blob, this.picture.name);
    for (const [name, value] of this.fields) form.append(name, value);
    return form;
  }

  /** A sample is fetched from the server, any other picture is expected in the current folder. */
  curl() {
    const url = (path) => quoted(new URL(path, document.baseURI).href);
    const { url: sample, name } = this.picture;
    const lines = [`curl -s ${url(this.path)}`];
    if (key.get()) lines.push('-H "Authorization: Bearer $MUE_KEY"');
    lines.push(`-F ${quoted(`image=@${sample ? "-" : inForm(name)}`)}`);
    for (const [name, value] of this.fields) lines.push(`--form-string ${quoted(`${name}=${value}`)}`);
    const command = lines.join(" \\\n  ");
    return sample ? `curl -s ${url(sample)} |\n${command}` : command;
  }
}

/** Quoted for curl, to which commas and semicolons end a name. */
function inForm(name) {
  return `"${name.replace(/["\\]/g, "\\$&")}"`;
}

/** Quoted for a shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
