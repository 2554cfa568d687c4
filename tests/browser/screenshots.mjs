// Pictures of a report for docs/pictures: node screenshots.mjs FOLDER, with MTDATA_REPORT naming the report's folder.
// Every picture is of the page as a reader sees it; nothing is drawn over or retouched.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { launch, open } from "./browser.mjs";

const folder = resolve(process.argv[2] ?? "pictures");
mkdirSync(folder, { recursive: true });
const browser = await launch();

const views = [
  { name: "light", options: { viewport: { width: 1180, height: 900 } } },
  { name: "dark", options: { viewport: { width: 1180, height: 900 }, colorScheme: "dark" } },
  { name: "phone", options: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } },
];
for (const { name, options } of views) {
  const { page } = await open(browser, options);
  await page.screenshot({ path: resolve(folder, `${name}.png`) });
  if (process.env.WHOLE) await page.screenshot({ path: resolve(folder, `${name}-whole.png`), fullPage: true });
}
await browser.close();
