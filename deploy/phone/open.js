// The "open" button: a request signed by this phone's key, through the server, while there is a network.
export const PATIENCE_MS = 12000; // the server itself waits for the door for less: a test compares
const NONCE_BYTES = 16;

/** -> the doors this phone may open from afar; null when there is no network or no such server. */
export async function openableDoors(key) {
  const answer = await asked(key, "doors", "", false);
  return Array.isArray(answer.doors) ? answer.doors : null;
}

/** -> {stage} as the door said it, or {refused: reason}. */
export function openDoor(key, door, duress) {
  return asked(key, "open", door, duress);
}

async function asked(key, action, door, duress) {
  const words = { key: await keyId(key.spki), door, at_utc_s: Math.floor(Date.now() / 1000), nonce: hex(crypto.getRandomValues(new Uint8Array(NONCE_BYTES))), duress };
  const text = ["door-agent phone", action, words.key, door, words.at_utc_s, words.nonce, duress ? "1" : "0"].join("\n");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, new TextEncoder().encode(text));
  try {
    const answer = await fetch(`api/${action}`, {
      method: "POST", cache: "no-store", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...words, signature: hex(new Uint8Array(signature)) }), signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return await answer.json();
  } catch (error) {
    return { refused: error.name === "TimeoutError" ? "not-known" : "no-network" }; // a lost answer may have opened
  }
}

async function keyId(spki) {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", spki)).subarray(0, 8));
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
