// This phone's key: P-256, made here once. The browser keeps the private half and never gives it out, not to us either.
const DATABASE = "door-phone";
const STORE = "keys";
const NAME = "pass";
const KIND = { name: "ECDSA", namedCurve: "P-256" };

/** -> {privateKey: CryptoKey, spki: Uint8Array, isNew: boolean}; makes the key at the first start. */
export async function phoneKey() {
  const database = await opened();
  try {
    const kept = await asked(database, "readonly", (store) => store.get(NAME));
    if (kept) return { ...kept, isNew: false };
    const pair = await crypto.subtle.generateKey(KIND, false, ["sign", "verify"]);
    const made = { privateKey: pair.privateKey, spki: new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)) };
    try {
      await asked(database, "readwrite", (store) => store.add(made, NAME));
      return { ...made, isNew: true };
    } catch (error) {
      if (error.name !== "ConstraintError") throw error;
      return { ...(await asked(database, "readonly", (store) => store.get(NAME))), isNew: false }; // another tab was first
    }
  } finally {
    database.close();
  }
}

/** What the manager needs: base64url of the public key, without padding. */
export function registrationCode(spki) {
  return btoa(String.fromCharCode(...spki)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function asked(database, mode, question) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = question(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result); // written, not only accepted
    transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}
