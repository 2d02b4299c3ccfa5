// Has Tint, as Dawn's Node package brings it, read WGSL files:
//
//     node tint.mjs NODE_MODULES FILE...
//
// For each file a line on stdout: its name, a tab, and nothing or the first error. Dawn's null backend needs no driver.

import fs from 'node:fs';
import path from 'node:path';

const [modules, ...files] = process.argv.slice(2);
const { create } = await import(path.resolve(modules, 'webgpu/index.js'));
// Dawn dies at random where nothing refers to it any more.
globalThis.gpu = create(['backend=null']);
const adapter = await globalThis.gpu.requestAdapter();
const device = await adapter.requestDevice({ requiredFeatures: ['subgroups', 'shader-f16'] });
for (const file of files) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: fs.readFileSync(file, 'utf8') });
    const { messages } = await module.getCompilationInfo();
    const failed = await device.popErrorScope();
    const first = messages.find((message) => message.type === 'error');
    const error = first ? `line ${first.lineNum}: ${first.message}` : (failed?.message ?? '');
    console.log(`${file}\t${error.replaceAll(/\s+/g, ' ')}`);
}
process.exit(0);
