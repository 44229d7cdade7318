"use strict";
(() => {
  // Colours: as the system has them, light, dark.
  const THEMES = { auto: "◐ auto", light: "○ light", dark: "● dark" };
  const themeButton = document.querySelector("#theme");
  function setTheme(name) {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    themeButton.textContent = THEMES[name];
    themeButton.setAttribute("aria-label", `Colours: ${name === "auto" ? "as the system has them" : name}`);
    themeButton.dataset.name = name;
    try { localStorage.setItem("hed-report-theme", name); } catch { /* a file may have no storage */ }
  }
  let stored = null;
  try { stored = localStorage.getItem("hed-report-theme"); } catch { /* as above */ }
  setTheme(stored in THEMES ? stored : "auto");
  themeButton.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    setTheme(names[(names.indexOf(themeButton.dataset.name) + 1) % names.length]);
  });
})();
