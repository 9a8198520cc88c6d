// An OpenID Connect issuer that isn't ours. Every line on stdin is a command as JSON, and each is
// answered by a line: {"add": alg} a further key; {"say": claims} what ID tokens say besides;
// {"tell": claims} what userinfo says; {"sign": how} ID tokens are signed "rightly", "unsigned", or
// "forged" with a key that isn't published; {"revoked": 0} how many tokens were revoked.
import { generateKeyPairSync, sign } from "node:crypto";
import { createInterface } from "node:readline";

import { OAuth2Server } from "oauth2-mock-server";

const server = new OAuth2Server();
const { issuer, service } = server;
const theirs = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const state = { said: {}, told: {}, signed: "rightly", revoked: 0 };

service.on("beforeTokenSigning", ({ payload }) => {
  if (payload.aud) Object.assign(payload, state.said); // the ID token, not the access token
});
service.on("beforeUserinfo", ({ body }) => Object.assign(body, state.told));
service.on("beforeRevoke", () => {
  state.revoked += 1;
});
service.on("beforeResponse", ({ body }) => {
  if (state.signed === "rightly") return;
  const [head, payload] = body.id_token.split(".");
  const { kid } = JSON.parse(Buffer.from(head, "base64url"));
  const alg = state.signed === "unsigned" ? "none" : "RS256";
  const header = Buffer.from(JSON.stringify({ alg, kid })).toString("base64url");
  const text = `${header}.${payload}`;
  const signature = alg === "none" ? "" : sign("sha256", Buffer.from(text), theirs);
  body.id_token = `${text}.${signature && signature.toString("base64url")}`;
});

const commands = {
  add: (alg) => issuer.keys.generate(alg).then(() => null),
  say: (claims) => void (state.said = claims),
  tell: (claims) => void (state.told = claims),
  sign: (how) => void (state.signed = how),
  revoked: () => state.revoked,
};

await issuer.keys.generate(process.argv[2]);
await server.start(0, "127.0.0.1");
console.log(JSON.stringify({ result: issuer.url }));
for await (const line of createInterface({ input: process.stdin })) {
  const [[name, value]] = Object.entries(JSON.parse(line));
  console.log(JSON.stringify({ result: (await commands[name](value)) ?? null }));
}
process.exit(0);
