// Light and dark: as the system has it, until the reader chooses. Plots take their colours from the style sheet.

const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function applyTheme() {
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
}

function startTheme(redraw) {
  byId("theme").addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
    redraw();
  });
  dark.addEventListener("change", () => {
    applyTheme();
    redraw();
  });
}

applyTheme();
