// Elements from text: what is a string becomes a text node, whatever it holds. Also used by the live page.

const byId = (id) => document.getElementById(id);

/** An element with text and elements in it. */
function el(tag, names, ...children) {
  const made = document.createElement(tag);
  if (names) made.className = names;
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") made.append(child);
  }
  return made;
}

function button(label, act) {
  const made = el("button", "", label);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
