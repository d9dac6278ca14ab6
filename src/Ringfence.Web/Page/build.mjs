// Makes the page: node build.mjs FOLDER
//
// Everything that is made lies in FOLDER: the libraries (node_modules, from the lock file) and the page's files (assets), so that builds of
// two configurations share nothing that is written. Page.targets calls this when an input has changed.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const INSTALL_ATTEMPTS = 5;
const DEFINITIONS = ["package.json", "package-lock.json", ".npmrc"];
const BROWSERS = ["chrome123", "firefox120", "safari17.5"];

const TEXTS = ["LICENSE", "LICENSE.txt", "LICENSE.md", "docs/LICENSE.MPL-2.0", "vendor/pako/LICENSE"];
const NOTICE = /^\s*\/\*[^]*?\*\//;

const source = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? "obj/page");
const assets = join(folder, "assets");

install();
const { build } = createRequire(join(folder, "package.json"))("esbuild");
rmSync(assets, { recursive: true, force: true });
mkdirSync(assets, { recursive: true });
const bundled = await bundle();
for (const name of ["index.html", "icon.svg"]) copyFileSync(join(source, "src", name), join(assets, name));
writeFileSync(join(assets, "licenses.txt"), licenses(bundled));

/** Installs exactly what the lock file says, without running anything of it; not again while it says the same. */
function install() {
  const installed = join(folder, "node_modules", ".ringfence");
  const wanted = DEFINITIONS.map(name => readFileSync(join(source, name), "utf8")).join("\n");
  if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) return;
  mkdirSync(folder, { recursive: true });
  for (const name of DEFINITIONS) copyFileSync(join(source, name), join(folder, name));
  for (let attempt = 1; ; attempt++) {
    const npm = spawnSync("npm ci --ignore-scripts --prefer-offline --loglevel=error", { cwd: folder, encoding: "utf8", shell: true });
    if (npm.status === 0) break;
    if (attempt === INSTALL_ATTEMPTS) {
      console.error(`${npm.stdout}${npm.stderr}\nnpm ci failed ${attempt} times; dotnet build -p:RingfencePage=false builds without the page.`);
      process.exit(1);
    }

    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, attempt * attempt * 1000);
  }

  writeFileSync(installed, wanted);
}

/** Bundles scripts and styles; returns the files that went into them. */
async function bundle() {
  const result = await build({
    absWorkingDir: source,
    entryPoints: { page: "src/main.js", theme: "src/theme.js", style: "src/style.css" },
    outdir: assets,
    entryNames: "[name]",
    nodePaths: [join(folder, "node_modules")],
    bundle: true,
    format: "esm",
    minify: true,
    target: BROWSERS,
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  return Object.keys(result.metafile.inputs);
}

/** The licences of the packages whose files went into the page, and the notices of files that have one of their own. */
function licenses(inputs) {
  const files = inputs.map(path => ({ path: resolve(source, path), name: /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] })).filter(file => file.name);
  const parts = [...new Set(files.map(file => file.name))].sort().map(name => {
    const home = join(folder, "node_modules", name);
    const { version, license, repository } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    const texts = TEXTS.map(file => join(home, file)).filter(existsSync).map(file => readFileSync(file, "utf8").trim());
    const notices = files.filter(file => file.name === name && file.path.endsWith(".js")).map(file => NOTICE.exec(readFileSync(file.path, "utf8"))?.[0]);
    const own = [...new Set(notices)].filter(notice => /copyright/i.test(notice ?? ""));
    return [`${name} ${version} (${license}) ${repository?.url ?? repository ?? ""}`, ...texts, ...own].join("\n\n");
  });
  return ["What this page contains of others, and under which licences.", ...parts].join(`\n\n${"-".repeat(72)}\n\n`) + "\n";
}
