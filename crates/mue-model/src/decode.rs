//! The decoder run: requests of any age share a step, and inside a step each leaves at its layer.

use burn::tensor::Tensor;

use crate::attention::KeysValues;
use crate::exit::{BranchPolicy, LayerSignal};
use crate::gather::Gathering;
use crate::macs::Computed;
use crate::model::{DecoderState, Execution, Ofa};
use crate::prediction::{LayerAnswer, Prediction};
use crate::rows::{RowIndex, SelectRows, index, to_host, token_ids};
use crate::search::{Advance, BeamSearch, Hypothesis, NonFiniteLogits, SearchSettings};
use crate::similarity::Products;
use crate::source::{Attending, Source, cross_attend};
use crate::tables::DecoderTables;
use crate::trace::DecoderCost;

/// A set of requests that decode together.
///
/// The self-attention cache is right-aligned: the newest token of every row is in the last column,
/// and rows that joined later begin further right. A layer's columns are filled when a row first
/// needs them: what exited rows would have put there is projected from their exit states then, and
/// never if nobody comes by.
#[derive(Debug, Default)]
pub struct DecoderRun {
    requests: Vec<Request>,
    /// State in which each processed token left, `[rows, columns, d_model]`.
    exit_states: Option<Tensor<3>>,
    /// By layer: keys and values of the first columns, as many as are filled.
    caches: Vec<Option<KeysValues>>,
    computed: Computed,
    gathering: Gathering,
    next_id: u64,
}

/// Names a request within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

#[derive(Debug)]
struct Request {
    id: RequestId,
    source: Source,
    policy: BranchPolicy,
    search: BeamSearch,
    exits: Vec<StepExit>,
    cost: DecoderCost,
}

/// Where one step of one request left the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct StepExit {
    /// Layers run.
    pub layer: usize,
    /// Similarity after each layer run, over all beams together; empty if not asked for.
    pub similarities: Vec<f32>,
    /// What would have been answered from each layer that the policy asked.
    pub predictions: Vec<Prediction>,
}

impl StepExit {
    /// Of a step that has not begun.
    pub(crate) fn none() -> Self {
        Self { layer: 0, similarities: Vec::new(), predictions: Vec::new() }
    }
}

/// What one step did to one request.
#[derive(Debug)]
pub struct RequestStep {
    /// Which request.
    pub id: RequestId,
    /// Layers run.
    pub layer: usize,
    /// The best live hypothesis' tokens so far; after the last step, of the best finished one.
    pub tokens: Vec<u32>,
    /// The answer, if this step completed it.
    pub finished: Option<Result<DecodedAnswer, NonFiniteLogits>>,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct DecodedAnswer {
    /// Finished hypotheses, best first.
    pub hypotheses: Vec<Hypothesis>,
    /// One entry per step, shared by the beams.
    pub exits: Vec<StepExit>,
    /// What the decoder computed for this request alone.
    pub cost: DecoderCost,
}

/// What one decoder step did.
#[derive(Debug, Default)]
pub struct TokenReport {
    /// Rows computed at each layer.
    pub layer_rows: Vec<usize>,
    /// One entry per request, in the order they joined.
    pub requests: Vec<RequestStep>,
    /// Logits at the exit layer, `[rows, vocabulary]` row-major.
    pub logits: Vec<f32>,
}

impl DecoderRun {
    /// Requests that still decode.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Rows that the next step computes at layer 1.
    pub fn rows(&self) -> usize {
        self.requests.iter().map(|request| request.search.rows()).sum()
    }

    /// Whether nothing is left to decode.
    pub fn is_finished(&self) -> bool {
        self.requests.is_empty()
    }

    /// What was computed so far.
    pub fn computed(&self) -> &Computed {
        &self.computed
    }

    /// What was gathered since this was last asked.
    pub fn take_gathering(&mut self) -> Gathering {
        std::mem::take(&mut self.gathering)
    }

    /// Drops requests whose answer nobody waits for any more.
    pub fn cancel(&mut self, cancelled: impl Fn(RequestId) -> bool) {
        let starts = self.first_rows();
        let mut rows = Vec::new();
        for (request, start) in self.requests.iter().zip(starts) {
            if !cancelled(request.id) {
                rows.extend(start..start + request.search.rows());
            }
        }
        let total = self.rows();
        self.requests.retain(|request| !cancelled(request.id));
        self.select(rows, total);
    }

    /// First row of each request.
    fn first_rows(&self) -> Vec<usize> {
        let mut next = 0;
        self.requests
            .iter()
            .map(|request| {
                let first = next;
                next += request.search.rows();
                first
            })
            .collect()
    }

    fn columns(&self) -> usize {
        self.exit_states.as_ref().map_or(0, |states| states.dims()[1])
    }

    /// Tokens processed by each row.
    fn ages(&self) -> Vec<usize> {
        self.requests
            .iter()
            .flat_map(|request| vec![request.search.step(); request.search.rows()])
            .collect()
    }

    /// Keeps, repeats and reorders rows, then drops columns that no row uses.
    fn select(&mut self, rows: Vec<usize>, total: usize) {
        let Some(states) = self.exit_states.take() else { return };
        let columns = states.dims()[1];
        let unused = self.columns_unused(columns);
        if rows.is_empty() || unused == columns {
            // Nobody is left, or only requests that have processed nothing yet.
            self.caches.fill_with(|| None);
            return;
        }
        let rows = RowIndex::new(rows, total, &states.device());
        let gathering = &mut self.gathering;
        self.exit_states = Some(drop_columns(gathering.select(states, &rows), unused));
        for cache in &mut self.caches {
            *cache = cache.take().and_then(|cache| {
                let filled = cache.keys.dims()[2];
                let kept = gathering.select(cache, &rows);
                (filled > unused).then(|| {
                    kept.map(|part| {
                        if unused == 0 { part } else { part.narrow(2, unused, filled - unused) }
                    })
                })
            });
        }
    }

    fn columns_unused(&self, columns: usize) -> usize {
        let oldest = self.requests.iter().map(|request| request.search.step()).max();
        columns - oldest.unwrap_or(0).min(columns)
    }

    /// Adds rows of a request that has processed nothing yet.
    fn add_row(&mut self) {
        let blank = |tensor: &Tensor<4>| {
            let [_, heads, columns, head_dim] = tensor.dims();
            Tensor::zeros([1, heads, columns, head_dim], &tensor.device())
        };
        if let Some(states) = self.exit_states.take() {
            let [_, columns, width] = states.dims();
            let zeros = Tensor::zeros([1, columns, width], &states.device());
            self.exit_states = Some(Tensor::cat(vec![states, zeros], 0));
        }
        for cache in self.caches.iter_mut().flatten() {
            let empty = KeysValues { keys: blank(&cache.keys), values: blank(&cache.values) };
            *cache = KeysValues::stack(vec![cache.clone(), empty]);
        }
    }
}

fn drop_columns(states: Tensor<3>, unused: usize) -> Tensor<3> {
    let columns = states.dims()[1];
    if unused == 0 { states } else { states.narrow(1, unused, columns - unused) }
}

/// The state of one step while it goes through the layers.
struct Step {
    /// Residual stream of every row, `[rows, target, d_model]`; frozen where a row has left.
    hidden: Tensor<3>,
    /// Self-attention bias of every layer, `[rows, target, cached, layers * heads]`.
    bias: Tensor<4>,
    /// Requests still running.
    active: Vec<usize>,
    /// By request: first row.
    first_rows: Vec<usize>,
    /// By row: tokens processed before this step.
    ages: Vec<usize>,
    exits: Vec<StepExit>,
    /// By request: the answer of the newest layer that was asked.
    answers: Vec<Option<LayerAnswer>>,
}

impl Step {
    /// Whether the logits of a request's exit layer are there.
    fn is_answered(&self, request: usize) -> bool {
        let exit = self.exits[request].layer;
        self.answers[request].as_ref().is_some_and(|answer| answer.prediction.layer == exit)
    }

    fn note_answer(&mut self, request: usize, layer: usize, (logits, width): (&[f32], usize)) {
        let before = self.answers[request].as_ref();
        let answer = LayerAnswer::new(layer, logits.to_vec(), width, before);
        self.exits[request].predictions.push(answer.prediction);
        self.answers[request] = Some(answer);
    }
}

impl Ofa {
    /// An empty set.
    pub fn begin_decode(&self) -> DecoderRun {
        DecoderRun { caches: vec![None; self.decoder().layers.len()], ..Default::default() }
    }

    /// Adds a request; it takes part from the next step on.
    ///
    /// # Panics
    ///
    /// If the answer may become longer than the model has positions for.
    pub fn join_decode(
        &self,
        run: &mut DecoderRun,
        source: Source,
        policy: BranchPolicy,
        settings: SearchSettings,
    ) -> RequestId {
        let positions = self.decoder().positions().tokens_max();
        assert!(settings.tokens_max < positions, "an answer has at most {positions} positions");
        run.caches.resize(self.decoder().layers.len(), None);
        run.add_row();
        let id = RequestId(run.next_id);
        run.next_id += 1;
        run.requests.push(Request {
            id,
            source,
            policy,
            search: BeamSearch::new(settings, self.special_tokens()),
            exits: Vec::new(),
            cost: DecoderCost::new(self.decoder().layers.len()),
        });
        id
    }

    /// Generates one token of every row.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn decode_token(&self, run: &mut DecoderRun) -> TokenReport {
        assert!(!run.is_finished(), "there is nothing to decode");
        let mut report = TokenReport::default();
        let mut step = self.begin_step(run);
        for layer in 0..self.decoder().layers.len() {
            if step.active.is_empty() {
                break;
            }
            report.layer_rows.push(self.run_layer(run, &mut step, layer));
        }
        let newest = self.newest(&step);
        if self.decoder_state() == DecoderState::Propagate {
            run.exit_states = Some(match run.exit_states.take() {
                Some(states) => Tensor::cat(vec![states, newest.clone()], 1),
                None => newest.clone(),
            });
        }
        report.logits = self.exit_logits(run, &mut step, &newest);
        report.requests = self.advance(run, step, &report.logits);
        report
    }

    /// State of the newest column, `[rows, 1, d_model]`.
    fn newest(&self, step: &Step) -> Tensor<3> {
        let target = step.hidden.dims()[1];
        step.hidden.clone().narrow(1, target - 1, 1)
    }

    fn begin_step(&self, run: &mut DecoderRun) -> Step {
        let ages = run.ages();
        let oldest = ages.iter().copied().max().unwrap_or(0);
        let columns = match self.decoder_state() {
            DecoderState::Propagate => run.columns(),
            DecoderState::Recompute | DecoderState::RecomputePrefix => oldest,
        };
        let target = match self.decoder_state() {
            DecoderState::Propagate => 1,
            DecoderState::Recompute | DecoderState::RecomputePrefix => columns + 1,
        };
        let tokens: Vec<Vec<u32>> = run
            .requests
            .iter()
            .flat_map(|request| request.search.prefixes(target, self.config().pad_token_id))
            .collect();
        let embedded = self.encoder().embed(token_ids(&tokens, self.device()));
        let hidden = self.decoder().embed(embedded);
        let tables = self.tables().decoder(self.decoder().positions(), oldest + 1);
        let bias = step_bias(&tables, &ages, columns + 1, target);
        Step {
            hidden,
            bias,
            active: (0..run.requests.len()).collect(),
            first_rows: run.first_rows(),
            ages,
            exits: vec![StepExit::none(); run.requests.len()],
            answers: vec![None; run.requests.len()],
        }
    }

    /// Runs one layer for the active requests; returns the rows that it computed.
    fn run_layer(&self, run: &mut DecoderRun, step: &mut Step, layer: usize) -> usize {
        let computed = match self.gathers(run, step, layer) {
            true => step.active.clone(),
            false => (0..run.requests.len()).collect(),
        };
        let rows = self.rows_of(run, step, &computed);
        let cached = self.cached(run, step, layer, &rows);
        for request in &computed {
            let Request { source, .. } = &mut run.requests[*request];
            if source.prepare(self.decoder(), layer) {
                run.computed.macs += self.macs().cross_keys_values(source.own_tokens());
            }
        }
        let before = run.gathering.select(step.hidden.clone(), &rows);
        let bias = self.layer_bias(run, step, layer, &rows);
        let attending: Vec<Attending<'_>> =
            computed.iter().map(|request| self.attending(run, step, *request)).collect();
        let after = self.decoder().layers[layer].forward(
            before.clone(),
            &cached,
            bias,
            |attention, queries| cross_attend(attention, queries, &attending, layer),
        );
        drop(attending);
        let macs = self.charge(run, step, &computed, layer);
        run.computed.layer(layer, rows.rows().len(), macs);
        self.note_step_similarities(run, step, &computed, (before, after.clone()));
        let row_count = rows.rows().len();
        let active = self.rows_of(run, step, &step.active);
        // Without a gather, rows are numbered as in the set.
        let after = match computed.len() == step.active.len() {
            true => after,
            false => run.gathering.select(after, &active),
        };
        step.hidden = run.gathering.put(step.hidden.clone(), after, &active);
        self.ask(run, step, layer);
        self.leave_step(run, step, layer);
        row_count
    }

    /// Whether a layer runs on the active rows alone: their states and caches are gathered then.
    fn gathers(&self, run: &DecoderRun, step: &Step, layer: usize) -> bool {
        let options = self.options();
        let mut saved = 0;
        let mut active_rows = 0;
        for (place, Request { source, search, .. }) in run.requests.iter().enumerate() {
            if step.active.contains(&place) {
                active_rows += search.rows();
                continue;
            }
            let token = self.macs().decoder_layer(search.step() + 1, source.tokens());
            saved += search.rows() as u64 * token + source.pending_macs(self.macs(), layer);
        }
        let elements = active_rows * self.config().d_model * (1 + 2 * run.columns());
        options.execution == Execution::Compacted
            && (saved == 0 || options.gather.pays(elements, saved))
    }

    /// The rows of some requests.
    fn rows_of(&self, run: &DecoderRun, step: &Step, requests: &[usize]) -> RowIndex {
        let rows = requests
            .iter()
            .flat_map(|request| {
                let first = step.first_rows[*request];
                first..first + run.requests[*request].search.rows()
            })
            .collect();
        RowIndex::new(rows, step.ages.len(), self.device())
    }

    /// Keys and values that the given rows attend to at a layer, the newest columns included.
    fn cached(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        layer: usize,
        rows: &RowIndex,
    ) -> KeysValues {
        let decoder_layer = &self.decoder().layers[layer];
        if self.decoder_state() != DecoderState::Propagate {
            return decoder_layer.self_keys_values(step.hidden.clone().select_rows(rows));
        }
        let columns = run.columns();
        let filled = run.caches[layer].as_ref().map_or(0, |cache| cache.keys.dims()[2]);
        let mut pending = Vec::new();
        if let Some(states) = run.exit_states.as_ref().filter(|_| filled < columns) {
            pending.push(states.clone().narrow(1, filled, columns - filled));
        }
        pending.push(step.hidden.clone());
        let pending = if pending.len() == 1 { pending.remove(0) } else { Tensor::cat(pending, 1) };
        let fresh = decoder_layer.self_keys_values(pending);
        let valid = step.ages.iter().map(|age| (columns - filled).min(*age) + 1).sum();
        run.computed.macs += self.macs().self_keys_values(valid);
        let all = match run.caches[layer].take() {
            Some(cache) => KeysValues::concat(vec![cache, fresh]),
            None => fresh.map(crate::rows::contiguous),
        };
        run.caches[layer] = Some(all.clone());
        run.gathering.select(all, rows)
    }

    fn attending<'a>(&self, run: &'a DecoderRun, step: &Step, request: usize) -> Attending<'a> {
        let Request { source, search, .. } = &run.requests[request];
        let target = step.hidden.dims()[1];
        let positions =
            (0..target).map(|column| (search.step() + column + 1).saturating_sub(target)).collect();
        Attending { source, rows: search.rows(), positions }
    }

    /// The layer's self-attention bias, `[rows, heads, target, cached]`.
    fn layer_bias(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        layer: usize,
        rows: &RowIndex,
    ) -> Tensor<4> {
        let heads = self.config().decoder_attention_heads;
        let bias = step.bias.clone().narrow(3, layer * heads, heads);
        run.gathering.select(bias, rows).permute([0, 3, 1, 2]) // [rows, heads, target, cached]
    }

    /// Books what the layer cost each request alone; returns the sum without keys and values.
    fn charge(&self, run: &mut DecoderRun, step: &Step, requests: &[usize], layer: usize) -> u64 {
        let mut total = 0;
        for request in requests {
            let Request { source, search, cost, .. } = &mut run.requests[*request];
            let tokens = match self.decoder_state() {
                DecoderState::Propagate => 1,
                DecoderState::Recompute | DecoderState::RecomputePrefix => search.step() + 1,
            };
            let rows = search.rows() as u64;
            let token = self.macs().decoder_layer(search.step() + 1, source.tokens());
            total += rows * tokens as u64 * token;
            if tokens > 1 {
                total += rows * self.macs().self_keys_values(tokens);
            }
            if step.active.contains(request) {
                cost.layer(self.macs(), source, (search.step(), search.rows()), (layer, tokens));
            }
        }
        total
    }

    fn note_step_similarities(
        &self,
        run: &DecoderRun,
        step: &mut Step,
        requests: &[usize],
        (before, after): (Tensor<3>, Tensor<3>),
    ) {
        let asks = |request: &usize| run.requests[*request].policy.needs_similarity();
        if !step.active.iter().any(asks) {
            return;
        }
        let [_, target, _] = before.dims();
        let products = Products::of(before, after);
        let mut first = 0;
        for request in requests {
            let Request { search, policy, .. } = &run.requests[*request];
            let rows = first..first + search.rows();
            first = rows.end;
            if policy.needs_similarity() && step.active.contains(request) {
                let tokens = match self.decoder_state() {
                    DecoderState::RecomputePrefix => search.step() + 1,
                    DecoderState::Propagate | DecoderState::Recompute => 1,
                };
                let similarity = products.cosine(rows, target - tokens..target);
                step.exits[*request].similarities.push(similarity);
            }
        }
    }

    /// Reads the answers of the active requests whose policy asks this layer; after the last one
    /// nothing hangs on them.
    fn ask(&self, run: &mut DecoderRun, step: &mut Step, layer: usize) {
        let is_last = layer + 1 == self.decoder().layers.len();
        let asking: Vec<usize> = step
            .active
            .iter()
            .copied()
            .filter(|place| !is_last && run.requests[*place].policy.needs_prediction(layer + 1))
            .collect();
        if asking.is_empty() {
            return;
        }
        let vocabulary = self.config().vocab_size;
        let newest = self.newest(step);
        let logits = self.head(run, step, &newest, &asking);
        let mut rest = logits.as_slice();
        for place in asking {
            let Request { search, cost, .. } = &mut run.requests[place];
            cost.asked(search.rows() as u64 * self.macs().head());
            let (own, others) = rest.split_at(search.rows() * vocabulary);
            rest = others;
            step.note_answer(place, layer + 1, (own, vocabulary));
        }
    }

    /// Logits of every row at its exit state, `[rows, vocabulary]`; those of requests that asked
    /// the layer at which they left are there already.
    fn exit_logits(&self, run: &mut DecoderRun, step: &mut Step, newest: &Tensor<3>) -> Vec<f32> {
        let open: Vec<usize> =
            (0..run.requests.len()).filter(|place| !step.is_answered(*place)).collect();
        let computed = match open.is_empty() {
            true => Vec::new(),
            false => self.head(run, step, newest, &open),
        };
        let mut rest = computed.as_slice();
        let vocabulary = self.config().vocab_size;
        let mut logits = Vec::with_capacity(step.ages.len() * vocabulary);
        for place in 0..run.requests.len() {
            let Request { search, policy, cost, .. } = &mut run.requests[place];
            let was_asked = step.is_answered(place);
            cost.answered(search.rows() as u64 * self.macs().head(), was_asked);
            if let Some(answer) = step.answers[place].as_ref().filter(|_| was_asked) {
                logits.extend_from_slice(&answer.logits);
                continue;
            }
            let (own, others) = rest.split_at(search.rows() * vocabulary);
            rest = others;
            logits.extend_from_slice(own);
            let layer = step.exits[place].layer;
            if policy.needs_prediction(layer) {
                step.note_answer(place, layer, (own, vocabulary));
            }
        }
        logits
    }

    /// The LM head on the newest tokens of some requests, `[rows, vocabulary]` row-major.
    fn head(
        &self,
        run: &mut DecoderRun,
        step: &Step,
        newest: &Tensor<3>,
        requests: &[usize],
    ) -> Vec<f32> {
        let rows = self.rows_of(run, step, requests);
        run.computed.macs += rows.rows().len() as u64 * self.macs().head();
        let states = newest.clone().select_rows(&rows).squeeze_dim(1); // [rows, d_model]
        to_host(self.decoder().logits(states, self.encoder().token_table()))
    }

    fn leave_step(&self, run: &DecoderRun, step: &mut Step, layer: usize) {
        let layers = self.decoder().layers.len();
        let exits = &mut step.exits;
        step.active.retain(|request| {
            let exit = &mut exits[*request];
            exit.layer = layer + 1;
            let Request { search, policy, .. } = &run.requests[*request];
            let similarity = exit.similarities.last().copied();
            let prediction =
                exit.predictions.last().copied().filter(|answer| answer.layer == layer + 1);
            let signal = LayerSignal {
                layer: layer + 1,
                layers,
                step: search.step(),
                similarity,
                prediction,
            };
            !policy.exits(signal)
        });
    }

    /// Lets every search choose its tokens, and takes finished requests out.
    fn advance(&self, run: &mut DecoderRun, step: Step, logits: &[f32]) -> Vec<RequestStep> {
        let vocabulary = self.config().vocab_size;
        let total = step.ages.len();
        let mut kept_rows = Vec::new();
        let mut kept = Vec::new();
        let mut reports = Vec::new();
        let first_rows = step.first_rows;
        for ((mut request, exit), first) in run.requests.drain(..).zip(step.exits).zip(first_rows) {
            let rows = request.search.rows();
            let row_logits: Vec<&[f32]> =
                logits[first * vocabulary..].chunks_exact(vocabulary).take(rows).collect();
            let layer = exit.layer;
            request.exits.push(exit);
            let (id, advance) = (request.id, request.search.advance(&row_logits));
            let mut tokens = request.search.best_tokens().to_vec();
            let finished = match advance {
                Ok(Advance::Continue { parents }) => {
                    kept_rows.extend(parents.into_iter().map(|parent| first + parent));
                    kept.push(request);
                    None
                }
                Ok(Advance::Done) => {
                    let answer = request.into_answer();
                    tokens = answer.hypotheses.first().map_or(tokens, |best| best.tokens.clone());
                    Some(Ok(answer))
                }
                Err(error) => Some(Err(error)),
            };
            reports.push(RequestStep { id, layer, tokens, finished });
        }
        run.requests = kept;
        run.select(kept_rows, total);
        reports
    }
}

impl Request {
    fn into_answer(self) -> DecodedAnswer {
        DecodedAnswer {
            hypotheses: self.search.into_hypotheses(),
            exits: self.exits,
            cost: self.cost,
        }
    }
}

/// Bias of the last `target` columns against all `columns`, for rows of different ages,
/// `[rows, target, columns, layers * heads]`.
fn step_bias(tables: &DecoderTables, ages: &[usize], columns: usize, target: usize) -> Tensor<4> {
    let masked = tables.tokens * tables.tokens;
    let mut pairs = Vec::with_capacity(ages.len() * target * columns);
    for age in ages {
        let position = |column: usize| (age + column + 1).checked_sub(columns);
        for query in columns - target..columns {
            let query = position(query);
            pairs.extend((0..columns).map(|key| match (query, position(key)) {
                (Some(query), Some(key)) if key <= query => query * tables.tokens + key,
                // Also columns before the row's first token: what they compute is never read.
                _ => masked,
            }));
        }
    }
    let width = tables.pairs.dims()[1];
    let pairs = index(&pairs, &tables.pairs.device());
    tables.pairs.clone().select(0, pairs).reshape([ages.len(), target, columns, width])
}
