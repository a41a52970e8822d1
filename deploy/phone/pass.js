// A pass: the bytes that agent/core/passes.py describes (phone frame), signed, as base45 text for QR's alphanumeric mode.
export const STEP_S = 5;
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const VERSION = 1;
const PHONE = 1;
const DURESS = 1;
const REF_BYTES = 8;
const SIZE = { head: 2, step: 4, nonce: 8, flags: 1 };

/** key: from phoneKey(); door: "site/id" or null for any door; unixS: seconds since 1970; -> text of one code. */
export async function passText(key, door, unixS, duress) {
  const message = frame(await reference(key.spki), door === null ? null : await reference(utf8(door)), unixS, duress);
  const signature = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, message));
  return base45(joined(message, signature));
}

function frame(keyRef, doorRef, unixS, duress) {
  const message = new Uint8Array(SIZE.head + 2 * REF_BYTES + SIZE.step + SIZE.nonce + SIZE.flags);
  message.set([VERSION, PHONE]);
  message.set(keyRef, SIZE.head);
  if (doorRef) message.set(doorRef, SIZE.head + REF_BYTES); // zeros: any door of the site
  const at = SIZE.head + 2 * REF_BYTES;
  new DataView(message.buffer).setUint32(at, Math.floor(unixS / STEP_S));
  crypto.getRandomValues(message.subarray(at + SIZE.step, at + SIZE.step + SIZE.nonce));
  message[message.length - 1] = duress ? DURESS : 0;
  return message;
}

async function reference(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).subarray(0, REF_BYTES);
}

/** RFC 9285. */
export function base45(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const pair = bytes.subarray(at, at + 2);
    let value = pair.reduce((sum, byte) => sum * 256 + byte, 0);
    for (let digit = 0; digit <= pair.length; digit++) {
      text += ALPHABET[value % ALPHABET.length];
      value = Math.floor(value / ALPHABET.length);
    }
  }
  return text;
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
