// A second implementation of what doors and phones sign: PASETO v4.public by hand on WebCrypto, and a phone's pass.
// One JSON request on standard input, one JSON answer on standard output. `packageSign` and `packageVerify` leave it to
// the npm package paseto-ts in the folder `modules`, whose Ed25519 is written in JavaScript.
import { createHash, webcrypto } from "node:crypto";

const HEADER = "v4.public.";
const { subtle } = webcrypto;
const bytes = (text) => Buffer.from(text, "utf8");
const pem = (text) => Buffer.from(text.replace(/-----[^-]+-----|\s/g, ""), "base64");

function pae(pieces) {
  const lengths = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
  return Buffer.concat([lengths(pieces.length), ...pieces.flatMap((p) => [lengths(p.length), p])]);
}

const actions = {
  async sign({ privatePem, payload, footer, implicit }) {
    const key = await subtle.importKey("pkcs8", pem(privatePem), { name: "Ed25519" }, false, ["sign"]);
    const signed = pae([bytes(HEADER), bytes(payload), bytes(footer), bytes(implicit)]);
    const signature = Buffer.from(await subtle.sign("Ed25519", key, signed));
    const body = Buffer.concat([bytes(payload), signature]).toString("base64url");
    return { token: `${HEADER}${body}.${bytes(footer).toString("base64url")}` };
  },

  async verify({ publicPem, token, implicit }) {
    const [, , body, footer] = token.split(".");
    const raw = Buffer.from(body, "base64url");
    const payload = raw.subarray(0, -64);
    const key = await subtle.importKey("spki", pem(publicPem), { name: "Ed25519" }, false, ["verify"]);
    const signed = pae([bytes(HEADER), payload, Buffer.from(footer, "base64url"), bytes(implicit)]);
    const good = await subtle.verify("Ed25519", key, raw.subarray(-64), signed);
    return { good, payload: payload.toString("utf8") };
  },

  async packageSign({ modules, secret, payload, footer, implicit }) {
    const { sign } = await import(`${modules}/paseto-ts/dist/v4/index.js`);
    const how = { footer, assertion: implicit, addExp: false, addIat: false, validatePayload: false };
    return { token: sign(secret, payload, how) };
  },

  async packageVerify({ modules, publicKey, token, implicit }) {
    const { verify } = await import(`${modules}/paseto-ts/dist/v4/index.js`);
    try {
      return { payload: verify(publicKey, token, { assertion: implicit, validatePayload: false }).payload };
    } catch (error) {
      return { refused: error.name };
    }
  },

  async verifyPass({ publicDer, message, signature }) {
    const kind = { name: "ECDSA", namedCurve: "P-256" };
    const key = await subtle.importKey("spki", Buffer.from(publicDer, "hex"), kind, false, ["verify"]);
    const how = { name: "ECDSA", hash: "SHA-256" };
    return { good: await subtle.verify(how, key, Buffer.from(signature, "hex"), Buffer.from(message, "hex")) };
  },

  async signPass({ message }) {
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    const publicDer = Buffer.from(await subtle.exportKey("spki", pair.publicKey));
    const reference = createHash("sha256").update(publicDer).digest().subarray(0, 8);
    const whole = Buffer.from(message, "hex");
    reference.copy(whole, 2);
    const signature = Buffer.from(await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, whole));
    return { publicDer: publicDer.toString("hex"), raw: Buffer.concat([whole, signature]).toString("hex") };
  },
};

let asked = "";
for await (const chunk of process.stdin) asked += chunk;
const { action, ...request } = JSON.parse(asked);
process.stdout.write(JSON.stringify(await actions[action](request)));
