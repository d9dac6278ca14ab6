// Runs before the first paint: whoever chose other colours than the system's gets them from the start (see themeButton.js).
try {
  const kept = localStorage.getItem("ringfence-theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch {
  // Storage is switched off: the system's colours.
}
