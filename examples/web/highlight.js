// Why it exists: highlight.js is the largest file of the page and only needed once code is looked at.
// Law: code is shown plainly until (and if ever) the highlighter is there; its output is escaped text in spans.

let loading = null;

const LANGUAGES = {
  js: "javascript", mjs: "javascript", cjs: "javascript", jsx: "javascript", ts: "typescript", tsx: "typescript",
  html: "xml", htm: "xml", svg: "xml", xml: "xml", vue: "xml", svelte: "xml", css: "css", scss: "scss", less: "less",
  json: "json", md: "markdown", mdx: "markdown", py: "python", rb: "ruby", php: "php", go: "go", rs: "rust",
  java: "java", kt: "kotlin", swift: "swift", c: "c", h: "c", cpp: "cpp", cc: "cpp", cs: "csharp", sh: "bash",
  bash: "bash", sql: "sql", yml: "yaml", yaml: "yaml", toml: "ini", ini: "ini", graphql: "graphql", lua: "lua",
};

const LARGEST = 200_000; // characters; beyond it, coloring costs more than it helps

export const languageOf = (path) => LANGUAGES[path.split(".").at(-1).toLowerCase()] ?? null;

/** Put `text` into `code`, colored when the language is known and the highlighter has come. */
export function showCode(code, text, language) {
  const hljs = highlighter(language);
  if (!hljs || text.length > LARGEST || !hljs.getLanguage(language)) code.textContent = text;
  else code.innerHTML = hljs.highlight(text, { language, ignoreIllegals: true }).value;
}

/** The highlighter if it has come; else it is sent for, and `onHighlighter` told. */
let ready = null;
const waiting = new Set();

function highlighter(language) {
  if (ready || !language) return ready;
  loading ??= import("./vendor/highlight.js").then(
    (module) => {
      ready = module.default;
      for (const tell of waiting) tell();
    },
    () => {}, // plain code then
  );
  return null;
}

export const onHighlighter = (tell) => waiting.add(tell);
