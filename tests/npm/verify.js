// verify.js LIST.json: prints the names of the Sigstore bundles that npm's @sigstore/verify accepts.
//
// LIST.json is [{name, bundle, key}], key being the SubjectPublicKeyInfo that the bundle's hint stands for (base64).
'use strict';
const fs = require('fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

function accepts({ bundle, key }) {
  try {
    const read = bundleFromJSON(bundle);
    const hint = read.verificationMaterial.content.publicKey.hint;
    const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
    const trust = toTrustMaterial(root, { [hint]: { rawBytes: Buffer.from(key, 'base64') } });
    new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 }).verify(toSignedEntity(read));
    return true;
  } catch (error) {
    if (!error.code && error.name !== 'ValidationError') throw error; // not a refusal: a fault of ours
    return false;
  }
}

const list = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
console.log(JSON.stringify(list.filter(accepts).map((one) => one.name)));
