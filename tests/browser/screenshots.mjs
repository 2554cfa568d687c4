// The pictures in docs/pictures: node screenshots.mjs FOLDER, with MTDATA_REPORT naming the report's folder. They are the
// page as a reader sees it; nothing is drawn over or retouched.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { launch, open } from "./browser.mjs";

const folder = resolve(process.argv[2] ?? "pictures");
mkdirSync(folder, { recursive: true });
const browser = await launch();
const wide = { viewport: { width: 1180, height: 900 } };
const views = [
  { name: "summary", options: wide },
  { name: "attrition", section: "attrition", options: wide },
  { name: "missing", section: "missing", options: wide },
  { name: "scores-dark", section: "scores", options: { ...wide, colorScheme: "dark" } },
  { name: "phone", options: { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true } },
];
for (const { name, section, options } of views) {
  const { page } = await open(browser, options);
  if (section) await page.evaluate((id) => document.getElementById(id).scrollIntoView(), section);
  await page.screenshot({ path: resolve(folder, `${name}.png`) });
}
await browser.close();
