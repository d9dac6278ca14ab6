/**
 * A console takes every key there is, Tab too. So that the keyboard alone can reach it and leave it again: Tab stops at its frame, Enter goes
 * in, and Ctrl and Alt pressed and released together, with nothing between, lead back to the frame.
 */
export function keyboardGrab(frame, enter) {
  let alone = false;
  const isModifier = event => event.code === "ControlLeft" || event.code === "ControlRight" || event.code === "AltLeft";
  frame.addEventListener("keydown", event => {
    if (event.target === frame) {
      if (event.key === "Enter") {
        event.preventDefault();
        enter();
      }

      return;
    }

    alone = isModifier(event) && event.ctrlKey && event.altKey && !event.shiftKey && !event.metaKey;
  }, true);
  // Only when both are up: whoever is inside has to see that they are.
  frame.addEventListener("keyup", event => {
    alone &&= isModifier(event);
    if (!alone || event.ctrlKey || event.altKey) return;
    alone = false;
    if (event.target !== frame) setTimeout(() => frame.focus());
  }, true);
}
