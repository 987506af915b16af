// verify.js BUNDLE KEY.der: does npm's @sigstore/verify accept the Sigstore bundle, signed by that key?
'use strict';
const fs = require('fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')));
const hint = bundle.verificationMaterial.content.publicKey.hint;
const key = { rawBytes: fs.readFileSync(process.argv[3]) };
const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trust = toTrustMaterial(root, { [hint]: key });
new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 }).verify(toSignedEntity(bundle));
