// Bundles the page and writes it as a C++ header: node build.mjs [HEADER]
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const made = await build({
  entryPoints: [join(here, "page.js")], bundle: true, minify: true, format: "iife", target: "es2022",
  write: false, metafile: true, legalComments: "none", charset: "ascii",
});
const style = (await build({ entryPoints: [join(here, "page.css")], minify: true, write: false })).outputFiles[0].text.trim();
const script = made.outputFiles[0].text.trim().replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const hash = (text) => "sha256-" + createHash("sha256").update(text).digest("base64");

// The licences of what is bundled ask to go where it goes: each text once, with
// the packages that it covers.
const folders = new Set(Object.keys(made.metafile.inputs).map((path) => path.match(/node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean));
const licences = new Map();
for (const folder of [...folders].sort()) {
  const about = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
  const file = readdirSync(join(here, folder)).find((name) => /^licen[cs]e/i.test(name));
  const words = file ? readFileSync(join(here, folder, file), "utf8").trim() : about.license;
  if (!words) throw new Error(`no licence in ${folder}`);
  licences.set(words, [...(licences.get(words) ?? []), about.name]);
}
const notice = [...licences].map(([words, names]) => names.join(", ") + ":\n\n" + words).join("\n\n").replaceAll("--", "- -").replaceAll("\r", "");

// No literal passes 16 KB, and none holds its own end.
const literal = (text) => {
  const pieces = [];
  for (let at = 0; at < text.length; at += 15000) pieces.push(`R"~~(${text.slice(at, at + 15000)})~~"`);
  if (text.includes(')~~"')) throw new Error("the text holds the end of a literal");
  return pieces.join("\n    ");
};
const header = `#pragma once
// page_asset.hpp: the page of a report, bundled. Made by reports/page/build.mjs
// from the files beside it; \`make page\` makes it again.
//
// Layer   7. Standard library only.
// Source  Observable Plot (ISC), D3 (ISC), preact and htm (MIT, Apache-2.0).

#include <string_view>

namespace skillbench::page_asset {

inline constexpr char script_text[] =
    ${literal(script)};
inline constexpr std::string_view script(script_text, sizeof script_text - 1);
inline constexpr std::string_view script_hash = "${hash(script)}";
inline constexpr char style_text[] =
    ${literal(style)};
inline constexpr std::string_view style(style_text, sizeof style_text - 1);
// The licences of what is bundled; may stand in an HTML comment.
inline constexpr char notice_text[] =
    ${literal(notice)};
inline constexpr std::string_view notice(notice_text, sizeof notice_text - 1);

}  // namespace skillbench::page_asset
`;
writeFileSync(process.argv[2] ?? join(here, "..", "page_asset.hpp"), header);
console.log(`script ${script.length} bytes, style ${style.length} bytes`);
