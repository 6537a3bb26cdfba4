BEGIN TRANSACTION;
CREATE TABLE calls (
	"key" VARCHAR NOT NULL, 
	record JSON NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "calls" VALUES('g1.c1.propose.0.thought','{"request": "bbdf5048a81b3636cc680f31c323fe361a9cfe710c76da4b304c0f368c04dceb", "role": "proposer", "turns": [{"text": "{\"idea\": \"581\", \"why\": \"because\", \"expected\": \"better\", \"builds_on\": [\"obs.skew\", \"no.such.thought\"]}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.019117659000130516, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g1.c1.propose.0.code','{"request": "5ac75e51cc84752df8cd61bc4831229acb4151fcd1a94db00ccb1cbace61ca70", "role": "proposer", "turns": [{"text": "```python\nimport torch\n\n\ndef score(layer):\n    return layer.weight.abs() * (layer.input_mean.abs() * 2 + 1e-6)\n```", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.046083945000191306, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g1.c2.review.0','{"request": "03102e9a64355ad4ad01086530c9de78605f830f66dcf3af19cb1f539ac7f1f5", "role": "critic", "turns": [{"text": "{\"comment\": \"fine\", \"verdict\": \"accept\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.04675971799997569, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g1.c1.review.0','{"request": "816fb0073e12f8a910312b5ec51e3a1e9b101b99cae51edfcfab57984f75cc80", "role": "critic", "turns": [{"text": "{\"comment\": \"fine\", \"verdict\": \"accept\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.04778155399981188, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g1.reflect','{"request": "ec9da4147a54f07b87020e396dcd1efc3e856f0ebf74278d4cc6b919b9841f77", "role": "analyst", "turns": [{"text": "{\"lesson\": \"variance helps\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.007290177999948355, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g2.c1.propose.0.thought','{"request": "3cf70967713982de0212b1cac4d4f3445beb28b5408bbda62c30388342f93fd2", "role": "proposer", "turns": [{"text": "{\"idea\": \"487\", \"why\": \"because\", \"expected\": \"better\", \"builds_on\": [\"obs.skew\", \"no.such.thought\"]}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.005406161999871983, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g2.c1.propose.0.code','{"request": "823f011a985a82398f3071a5a39cfbbe8ae6b1db52ffe7dd083471cca5377145", "role": "proposer", "turns": [{"text": "```python\nimport torch\n\n\ndef score(layer):\n    return layer.weight.abs() * (layer.input_norm.pow(0.5) * 7 + 1e-6)\n```", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.05299776499987274, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g2.c2.review.0','{"request": "1e5474478a5302bce28ea04cc04c0c2434b8b49c6cd9584a2967a9a4c1ad01e0", "role": "critic", "turns": [{"text": "{\"comment\": \"fine\", \"verdict\": \"accept\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.05006032499977664, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g2.c1.review.0','{"request": "2eca11e16cd21ac51d583537af7293280a28023c18bef2a4ead48727041996e4", "role": "critic", "turns": [{"text": "{\"comment\": \"fine\", \"verdict\": \"accept\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.04733683399990696, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
INSERT INTO "calls" VALUES('g2.reflect','{"request": "8de6cd793eec64c7d2ab623d62d811286faf487d5e6455dd6ef9e08d2f0daa38", "role": "analyst", "turns": [{"text": "{\"lesson\": \"variance helps\"}", "model": "scripted", "tokens_in": 7, "tokens_out": 5, "usd": null, "seconds": 0.006575367000095866, "truncated": false, "estimated": false, "problem": ""}], "failed_calls": 0, "spent": {"calls": 0, "failed_calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0, "seconds": 0.0, "estimated": false}}');
CREATE TABLE clock (
	session VARCHAR NOT NULL, 
	seconds FLOAT NOT NULL, 
	PRIMARY KEY (session)
);
INSERT INTO "clock" VALUES('1795528697310408350',2.768111318000137544e+00);
CREATE TABLE edges (
	source VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	PRIMARY KEY (source, target, kind)
);
INSERT INTO "edges" VALUES('seed.magnitude.design','seed.magnitude','implements',0);
INSERT INTO "edges" VALUES('seed.magnitude','seed.magnitude.evidence','tests',0);
INSERT INTO "edges" VALUES('seed.wanda.design','seed.wanda','implements',0);
INSERT INTO "edges" VALUES('seed.wanda','seed.wanda.evidence','tests',0);
INSERT INTO "edges" VALUES('g1.c1.idea','g1.c1.design','motivates',1);
INSERT INTO "edges" VALUES('obs.skew','g1.c1.idea','motivates',1);
INSERT INTO "edges" VALUES('g1.c1.design','g1.c1','implements',1);
INSERT INTO "edges" VALUES('g1.c1','g1.c1.evidence','tests',1);
INSERT INTO "edges" VALUES('g1.c1.idea','g1.c1.evidence','refutes',1);
INSERT INTO "edges" VALUES('g1.c2.idea','g1.c2.design','motivates',1);
INSERT INTO "edges" VALUES('seed.magnitude','g1.c2.design','combines',1);
INSERT INTO "edges" VALUES('seed.wanda','g1.c2.design','combines',1);
INSERT INTO "edges" VALUES('g1.c2.design','g1.c2','implements',1);
INSERT INTO "edges" VALUES('g1.c2','g1.c2.evidence','tests',1);
INSERT INTO "edges" VALUES('g1.c2.idea','g1.c2.evidence','refutes',1);
INSERT INTO "edges" VALUES('g1.c2.evidence','g1.lesson','motivates',1);
INSERT INTO "edges" VALUES('g2.c1.idea','g2.c1.design','motivates',2);
INSERT INTO "edges" VALUES('g1.lesson','g2.c1.idea','motivates',2);
INSERT INTO "edges" VALUES('seed.wanda','g2.c1.design','refines',2);
INSERT INTO "edges" VALUES('g2.c1.design','g2.c1','implements',2);
INSERT INTO "edges" VALUES('g2.c1','g2.c1.evidence','tests',2);
INSERT INTO "edges" VALUES('g2.c1.idea','g2.c1.evidence','refutes',2);
INSERT INTO "edges" VALUES('g2.c2.idea','g2.c2.design','motivates',2);
INSERT INTO "edges" VALUES('g1.lesson','g2.c2.idea','motivates',2);
INSERT INTO "edges" VALUES('seed.magnitude','g2.c2.design','refines',2);
INSERT INTO "edges" VALUES('g2.c2.design','g2.c2','implements',2);
INSERT INTO "edges" VALUES('g2.c2','g2.c2.evidence','tests',2);
INSERT INTO "edges" VALUES('g2.c2.idea','g2.c2.evidence','supports',2);
INSERT INTO "edges" VALUES('g2.c2.evidence','g2.lesson','motivates',2);
CREATE TABLE measurements (
	subject VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	settings VARCHAR NOT NULL, 
	perplexity FLOAT NOT NULL, 
	sparsity FLOAT NOT NULL, 
	data JSON NOT NULL, 
	signature BLOB NOT NULL, 
	PRIMARY KEY (subject, split, settings)
);
CREATE TABLE nodes (
	id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "nodes" VALUES('obs.skew','observation',0,'|weight| is most skewed in block.0 (skewness 0.99) and least in block.1 (0.97): a skewed layer hangs on few large weights','{}');
INSERT INTO "nodes" VALUES('obs.inputs','observation',0,'layer inputs are largest in block.2 (root mean square 1.07) and smallest in block.0 (0.99)','{}');
INSERT INTO "nodes" VALUES('obs.outliers','observation',0,'block.2 has the largest share of outlier scores (0.21 %), block.0 the smallest (0.05 %)','{}');
INSERT INTO "nodes" VALUES('seed.magnitude.design','design',0,'published score magnitude: |weight|, compared within each matrix','{"ground": "seed.magnitude.evidence"}');
INSERT INTO "nodes" VALUES('seed.magnitude','algorithm',0,'magnitude: |weight|, compared within each matrix','{}');
INSERT INTO "nodes" VALUES('seed.magnitude.evidence','evidence',0,'perplexity 1062.98; most damaged: model.layers.1.self_attn.q_proj, model.layers.1.self_attn.v_proj, model.layers.1.mlp.gate_proj','{"gain": null, "status": "measured"}');
INSERT INTO "nodes" VALUES('seed.wanda.design','design',0,'published score wanda: mul(|weight|, input norm), compared within each row','{"ground": "seed.wanda.evidence"}');
INSERT INTO "nodes" VALUES('seed.wanda','algorithm',0,'wanda: mul(|weight|, input norm), compared within each row','{}');
INSERT INTO "nodes" VALUES('seed.wanda.evidence','evidence',0,'perplexity 1119.96; most damaged: model.layers.1.mlp.gate_proj, model.layers.1.self_attn.v_proj, model.layers.1.self_attn.q_proj','{"gain": null, "status": "measured"}');
INSERT INTO "nodes" VALUES('g1.c1.idea','hypothesis',1,'because','{"expected": "better"}');
INSERT INTO "nodes" VALUES('g1.c1.design','design',1,'581','{"operator": "initialise"}');
INSERT INTO "nodes" VALUES('g1.c1','algorithm',1,'581','{"candidate": "b5ca203c1a73e609"}');
INSERT INTO "nodes" VALUES('g1.c1.evidence','evidence',1,'perplexity 1241.28, +16.8 % against its best parent; most damaged: model.layers.1.self_attn.k_proj, model.layers.1.mlp.gate_proj, model.layers.1.mlp.up_proj','{"gain": -0.15506637096405038, "status": "measured"}');
INSERT INTO "nodes" VALUES('g1.c2.idea','hypothesis',1,'two good formulas may hold parts that add up','{"expected": "better"}');
INSERT INTO "nodes" VALUES('g1.c2.design','design',1,'mul(|weight|, input norm), compared within each matrix','{"operator": "cross"}');
INSERT INTO "nodes" VALUES('g1.c2','algorithm',1,'mul(|weight|, input norm), compared within each matrix','{"candidate": "99ae73bd9358f4f1"}');
INSERT INTO "nodes" VALUES('g1.c2.evidence','evidence',1,'perplexity 1150.84, +8.3 % against its best parent; most damaged: model.layers.1.mlp.gate_proj, model.layers.1.self_attn.q_proj, model.layers.1.self_attn.v_proj','{"gain": -0.07941758632659925, "status": "measured"}');
INSERT INTO "nodes" VALUES('g1.lesson','lesson',1,'variance helps','{"ground": "g1.c2.evidence", "by": "scripted"}');
INSERT INTO "nodes" VALUES('g2.c1.idea','hypothesis',2,'because','{"expected": "better"}');
INSERT INTO "nodes" VALUES('g2.c1.design','design',2,'487','{"operator": "explore"}');
INSERT INTO "nodes" VALUES('g2.c1','algorithm',2,'487','{"candidate": "38506e20e906dd69"}');
INSERT INTO "nodes" VALUES('g2.c1.evidence','evidence',2,'perplexity 1177.13, +5.1 % against its best parent; most damaged: model.layers.1.self_attn.v_proj, model.layers.1.mlp.gate_proj, model.layers.1.self_attn.q_proj','{"gain": -0.049781203269958565, "status": "measured"}');
INSERT INTO "nodes" VALUES('g2.c2.idea','hypothesis',2,'a formula unlike all before it may show what the family lacks','{"expected": "better"}');
INSERT INTO "nodes" VALUES('g2.c2.design','design',2,'pow(div(Hessian diagonal, |weight|), 4), compared within each matrix','{"operator": "explore"}');
INSERT INTO "nodes" VALUES('g2.c2','algorithm',2,'pow(div(Hessian diagonal, |weight|), 4), compared within each matrix','{"candidate": "aefff679eebcb9d0"}');
INSERT INTO "nodes" VALUES('g2.c2.evidence','evidence',2,'perplexity 975.20, -8.3 % against its best parent; most damaged: model.layers.1.self_attn.k_proj, model.layers.1.mlp.up_proj, model.layers.1.mlp.gate_proj','{"gain": 0.08619177341461172, "status": "measured"}');
INSERT INTO "nodes" VALUES('g2.lesson','lesson',2,'variance helps','{"ground": "g2.c2.evidence", "by": "scripted"}');
CREATE TABLE outcomes (
	slot VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	candidate VARCHAR, 
	status VARCHAR NOT NULL, 
	stage VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	message VARCHAR NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (slot)
);
INSERT INTO "outcomes" VALUES('g1.c2',1,'99ae73bd9358f4f1','measured','','','','{"perplexity": 1150.844741659526, "sparsity": 0.5, "zeros": 12672, "worst_layers": ["model.layers.1.mlp.gate_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"], "seconds": {"score": 0.05687389800004894, "mask": 0.00721445399994991, "eval": 0.009139872000105242}, "agreement": 0.9444839015151515, "flags": ["better than the dense model: suspect"], "nearest": "baseline:magnitude+sdsa", "diagnostics": "", "gain": -0.07941758632659925}');
INSERT INTO "outcomes" VALUES('g1.c1',1,'b5ca203c1a73e609','measured','','','','{"perplexity": 1241.282370911973, "sparsity": 0.5, "zeros": 12672, "worst_layers": ["model.layers.1.self_attn.k_proj", "model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"], "seconds": {"score": 0.04970756400098253, "mask": 0.009273919999031932, "eval": 0.013465580999763915}, "agreement": 0.7879971590909091, "flags": [], "nearest": "baseline:wanda+sdsa", "diagnostics": "", "gain": -0.15506637096405038}');
INSERT INTO "outcomes" VALUES('g2.c2',2,'aefff679eebcb9d0','measured','','','','{"perplexity": 975.1995823786569, "sparsity": 0.5, "zeros": 12672, "worst_layers": ["model.layers.1.self_attn.k_proj", "model.layers.1.mlp.up_proj", "model.layers.1.mlp.gate_proj"], "seconds": {"score": 0.03732858100011072, "mask": 0.004381993999686529, "eval": 0.0063109550001172465}, "agreement": 0.3522727272727273, "flags": ["better than the dense model: suspect"], "nearest": "b5ca203c1a73e609", "diagnostics": "", "gain": 0.08619177341461172}');
INSERT INTO "outcomes" VALUES('g2.c1',2,'38506e20e906dd69','measured','','','','{"perplexity": 1177.126311561866, "sparsity": 0.5, "zeros": 12672, "worst_layers": ["model.layers.1.self_attn.v_proj", "model.layers.1.mlp.gate_proj", "model.layers.1.self_attn.q_proj"], "seconds": {"score": 0.021758889999546227, "mask": 0.007194374000846437, "eval": 0.005813748000036867}, "agreement": 0.9685527146464646, "flags": ["better than the dense model: suspect"], "nearest": "baseline:wanda+sdsa", "diagnostics": "", "gain": -0.049781203269958565}');
CREATE TABLE proposals (
	slot VARCHAR NOT NULL, 
	revision INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	operator VARCHAR NOT NULL, 
	engine VARCHAR NOT NULL, 
	parents JSON NOT NULL, 
	thought JSON NOT NULL, 
	candidate VARCHAR, 
	chain JSON NOT NULL, 
	PRIMARY KEY (slot, revision)
);
INSERT INTO "proposals" VALUES('g1.c2',0,1,'cross','symbolic','["seed.magnitude", "seed.wanda"]','{"idea": "mul(|weight|, input norm), compared within each matrix", "why": "two good formulas may hold parts that add up", "expected": "better", "builds_on": [], "expression": ["mul", "W", "X"]}','99ae73bd9358f4f1','[{"node": "seed.magnitude.design", "kind": "design", "text": "published score magnitude: |weight|, compared within each matrix", "ground": "seed.magnitude.evidence"}, {"node": "seed.magnitude", "kind": "algorithm", "text": "magnitude: |weight|, compared within each matrix", "ground": "seed.magnitude.evidence"}, {"node": "seed.magnitude.evidence", "kind": "evidence", "text": "perplexity 1062.98; most damaged: model.layers.1.self_attn.q_proj, model.layers.1.self_attn.v_proj, model.layers.1.mlp.gate_proj", "ground": "seed.magnitude.evidence"}, {"node": "seed.wanda", "kind": "algorithm", "text": "wanda: mul(|weight|, input norm), compared within each row", "ground": "seed.wanda.evidence"}, {"node": "seed.wanda.evidence", "kind": "evidence", "text": "perplexity 1119.96; most damaged: model.layers.1.mlp.gate_proj, model.layers.1.self_attn.v_proj, model.layers.1.self_attn.q_proj", "ground": "seed.wanda.evidence"}]');
INSERT INTO "proposals" VALUES('g1.c1',0,1,'initialise','llm','[]','{"idea": "581", "why": "because", "expected": "better", "builds_on": ["obs.skew"]}','b5ca203c1a73e609','[{"node": "obs.skew", "kind": "observation", "text": "|weight| is most skewed in block.0 (skewness 0.99) and least in block.1 (0.97): a skewed layer hangs on few large weights", "ground": "obs.skew"}, {"node": "obs.inputs", "kind": "observation", "text": "layer inputs are largest in block.2 (root mean square 1.07) and smallest in block.0 (0.99)", "ground": "obs.inputs"}]');
INSERT INTO "proposals" VALUES('g2.c2',0,2,'explore','symbolic','["seed.magnitude"]','{"idea": "pow(div(Hessian diagonal, |weight|), 4), compared within each matrix", "why": "a formula unlike all before it may show what the family lacks", "expected": "better", "builds_on": [], "expression": ["pow", ["div", "H", "W"], 4.0]}','aefff679eebcb9d0','[{"node": "seed.magnitude.design", "kind": "design", "text": "published score magnitude: |weight|, compared within each matrix", "ground": "seed.magnitude.evidence"}, {"node": "seed.magnitude", "kind": "algorithm", "text": "magnitude: |weight|, compared within each matrix", "ground": "seed.magnitude.evidence"}, {"node": "seed.magnitude.evidence", "kind": "evidence", "text": "perplexity 1062.98; most damaged: model.layers.1.self_attn.q_proj, model.layers.1.self_attn.v_proj, model.layers.1.mlp.gate_proj", "ground": "seed.magnitude.evidence"}, {"node": "g1.c1.idea", "kind": "hypothesis (refuted)", "text": "because", "ground": "g1.c1.evidence"}, {"node": "g1.lesson", "kind": "lesson", "text": "variance helps", "ground": "g1.c2.evidence"}]');
INSERT INTO "proposals" VALUES('g2.c1',0,2,'explore','llm','["seed.wanda"]','{"idea": "487", "why": "because", "expected": "better", "builds_on": ["obs.skew"]}','38506e20e906dd69','[{"node": "seed.wanda.design", "kind": "design", "text": "published score wanda: mul(|weight|, input norm), compared within each row", "ground": "seed.wanda.evidence"}, {"node": "seed.wanda", "kind": "algorithm", "text": "wanda: mul(|weight|, input norm), compared within each row", "ground": "seed.wanda.evidence"}, {"node": "seed.wanda.evidence", "kind": "evidence", "text": "perplexity 1119.96; most damaged: model.layers.1.mlp.gate_proj, model.layers.1.self_attn.v_proj, model.layers.1.self_attn.q_proj", "ground": "seed.wanda.evidence"}, {"node": "g1.c1.idea", "kind": "hypothesis (refuted)", "text": "because", "ground": "g1.c1.evidence"}, {"node": "g1.lesson", "kind": "lesson", "text": "variance helps", "ground": "g1.c2.evidence"}]');
COMMIT;
