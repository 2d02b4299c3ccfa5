// The page on localhost, and a browser to look at it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Serves a folder on a free port; returns its address and how to stop. */
export async function serve(folder) {
  const server = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', folder], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(server.stdout, 'data');
  const port = String(line).match(/port (\d+)/)[1];
  return { address: `http://127.0.0.1:${port}/`, stop: () => server.kill() };
}

/** A browser with WebGPU, on a software adapter where there is no other, or without. */
export async function launch({ webgpu = true } = {}) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));
  if (!executablePath) throw new Error('there is no Chromium at /usr/bin');
  // Drivers that are named for this machine make the browser see no adapter at all.
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES, ...env } = process.env;
  return chromium.launch({ executablePath, env, args: webgpu ? [...FLAGS, '--enable-unsafe-webgpu'] : FLAGS });
}

/** Opens the page, and keeps what it says and asks for. */
export async function open(browser, address, { before, ...options } = {}) {
  const page = await browser.newPage(options);
  const heard = { faults: [], requests: [] };
  page.on('console', (message) => message.type() === 'error' && heard.faults.push(message.text()));
  page.on('pageerror', (error) => heard.faults.push(String(error)));
  page.on('request', (request) => heard.requests.push(request.url()));
  if (before) await page.addInitScript(before);
  await page.goto(address);
  await page.waitForSelector('html[data-ready]', { state: 'attached' });
  return { page, heard };
}

/** In the page: of all that comes back from the GPU, one number is wrong, once `globalThis.planted` says so. */
export function plant() {
  const original = GPUBuffer.prototype.getMappedRange;
  GPUBuffer.prototype.getMappedRange = function (...range) {
    const mapped = original.apply(this, range);
    if (globalThis.planted && this.usage & GPUBufferUsage.MAP_READ && mapped.byteLength >= 4) {
      const numbers = new Float32Array(mapped);
      const middle = numbers.length >> 1;
      // NaN of a guard band would stay what it is.
      numbers[middle] = Number.isNaN(numbers[middle]) ? 1 : numbers[middle] * 1.25 + 1;
    }
    return mapped;
  };
}
