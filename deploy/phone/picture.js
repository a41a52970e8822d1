// A QR picture as one SVG path. `qrcode` is the global of vendor/qrcode.js.
const QUIET_MODULES = 4; // the white rim that readers need
const CORRECTION = "M";

/** mode: "Alphanumeric" for passes, "Byte" for any text. */
export function drawQr(svg, text, mode) {
  const code = globalThis.qrcode(0, CORRECTION);
  code.addData(text, mode);
  code.make();
  const side = code.getModuleCount();
  svg.setAttribute("viewBox", `${-QUIET_MODULES} ${-QUIET_MODULES} ${side + 2 * QUIET_MODULES} ${side + 2 * QUIET_MODULES}`);
  svg.querySelector("path").setAttribute("d", dark(code, side));
}

function dark(code, side) {
  let path = "";
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let run = 0;
      while (column + run < side && code.isDark(row, column + run)) run++;
      if (run) path += `M${column} ${row}h${run}v1h-${run}z`;
      column += run;
    }
  }
  return path;
}
