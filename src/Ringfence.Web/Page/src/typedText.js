const BACKSPACE = 0xff08;
const RETURN = 0xff0d;
const UNICODE = 0x01000000;

/** The on-screen keyboard of a telephone, which writes text instead of pressing keys: a field that nobody sees takes it and sends keysyms (X11). */
export function typedText(button, field, sendKey) {
  button.addEventListener("click", () => field.focus());
  field.addEventListener("beforeinput", event => {
    if (event.isComposing) return;
    event.preventDefault();
    if (event.inputType === "insertLineBreak" || event.inputType === "insertParagraph") sendKey(RETURN);
    else if (event.inputType.startsWith("delete")) sendKey(BACKSPACE);
    else send(event.data ?? "");
  });
  field.addEventListener("compositionend", event => {
    send(event.data);
    field.value = "";
  });

  function send(text) {
    for (const character of text) {
      const code = character.codePointAt(0);
      sendKey(character === "\n" ? RETURN : code < 0x100 ? code : UNICODE | code);
    }
  }
}
