// Links main.js with all it imports, without running it: a name that is not exported is an error.

const { readFileSync, readdirSync } = require("node:fs");
const { SourceTextModule } = require("node:vm");

const modules = new Map();

function load(name) {
  if (!modules.has(name)) modules.set(name, new SourceTextModule(readFileSync(name, "utf8"), { identifier: name }));
  return modules.get(name);
}

async function link() {
  await load("main.js").link((specifier) => load(specifier.replace(/^\.\//, "")));
  const unused = readdirSync(".").filter((name) => name.endsWith(".js") && !name.endsWith(".test.js") && !modules.has(name));
  if (unused.length) throw new Error(`nothing imports ${unused}`);
  console.log(`linked ${modules.size} scripts`);
}

link().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
