/*
 * Two replicas of the gateway decide the signals of one fingerprint: two series
 * with starts of their own, one storm group, one Kubernetes API as arbiter.
 * README.md says what stands for what and what is left out.
 *
 * Every transition is one guarded d_step, so that it is atomic and scratch
 * variables are no part of the state. A configuration is a set of -D budgets,
 * a broken variant one -D BAD_...; ../scripts/model.sh has them all.
 */

#ifndef K
#define K 2        /* request numbers 1..K of the fingerprint, here 0..K-1 */
#endif
#ifndef SERIES
#define SERIES 2   /* series that fire, 1 or 2 */
#endif
#ifndef STARTS
#define STARTS 1   /* starts of each series */
#endif
#ifndef RESOLVES
#define RESOLVES 1 /* ends of all series together */
#endif
#ifndef RESENDS
#define RESENDS 0  /* deliveries beyond what the retry rules ask for */
#endif
#ifndef FINISHES
#define FINISHES 0 /* remediations that the controller finishes */
#endif
#ifndef PAUSES
#define PAUSES 0   /* 1: all windows of the rules pass once */
#endif
#ifndef DELETES
#define DELETES 0  /* deletions by a person */
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOST
#define LOST 0     /* calls of the API of which no answer comes */
#endif
#ifndef OUTAGES
#define OUTAGES 0  /* calls that the API does not take, so that the signal is spooled */
#endif
#ifndef FLUSHES
#define FLUSHES 0  /* losses of the ledger */
#endif
#ifndef STORMS
#define STORMS 0   /* 1: the storm verdict may be yes */
#endif
#ifndef OTHERS
#define OTHERS 0   /* 1: each replica joins a member of another fingerprint */
#endif
#ifndef CLOSES
#define CLOSES 0   /* 1: the storm may end */
#endif

#define STORM K      /* a decision's target, and the storm's bit in masks */
#define NONE (K + 1)
#define ROOM 2       /* entries of one spool */

/* What is known of a series in an episode: 0 nothing, 2g-1 start g is open, 2g
 * it has ended. The greater is the newer, so that merging is max. */
#define OPEN(g)  (2 * (g) - 1)
#define ENDED(g) (2 * (g))
#define isOpen(x) ((x) % 2 == 1)
#define allEnded(o) (!isOpen(o.al[0]) && !isOpen(o.al[1]) && o.al[0] + o.al[1] > 0)
#define raise(x, y) if :: (y) > (x) -> x = (y) :: else fi

/* A request. Times are epochs: 0 before the pause, 1 after it. */
typedef Request {
  bit ex;          /* exists */
  bit first;       /* attempt 1: it began an episode */
  unsigned ph : 2; /* 0 no phase, 1 at work, 2 finished */
  bit fe, se, de;  /* first seen, last seen, completed */
  byte re;         /* series i ended in epoch (re>>i)&1 */
  byte al[2]
}
typedef Storm {
  bit ex, closed, mem; /* mem: our fingerprint is a member */
  unsigned ph : 2;
  bit je, se, de;      /* our member joined, was last seen; completed */
  byte re;
  byte al[2];
  byte before;         /* requests that were there before our member joined */
  byte others;         /* the other replicas' members, one bit each */
  byte n               /* memberCount */
}
typedef Signal {
  bit res, sp, behind; /* resolved; from the spool; received before an end of its series */
  bit ep;              /* epoch of its receipt */
  byte a, g;           /* series and start */
  byte since           /* requests created after its receipt, bit STORM for the storm's */
}
typedef Order {
  bit on, first, ep, old; /* old: worked out before a deletion was seen */
  byte k, a, g
}

/* The API server. */
Request q[K];
Storm s;
Order fly;           /* a create that was sent, was not answered, and may yet land */

/* Replicas: r's view of request k is v[r*K+k]; fr says that it is the version
 * that the API has, sm that it is of the same object. Views hold what is
 * pending as well: a view that is fresh and greater has something to flush. */
Request v[2 * K];
bit fr[2 * K], sm[2 * K];
Storm w[2];
bit wfr[2];
mtype = { Idle, Decide, Settle, Create, Open, Join, Resolve };
mtype st[2] = Idle;
Signal hand[2];
Order call[2];       /* the create that hand waits for */
Order unc[2];        /* the create of unknown outcome */
byte target[2];      /* what Resolve writes to */
Signal spool[2 * ROOM];
byte held[2];
byte led[2];         /* the shared ledger: the start that ended unmatched */
bit lede[2];

/* Senders. */
byte gen[2];
bit res[2], fack[2], rack[2];
byte began[2 * 3];   /* [a*3+g]: requests that had finished when start g of series a began */

/* Budgets, the clock and what only the properties look at. */
byte resolves = RESOLVES, resends = RESENDS, finishes = FINISHES, deletes = DELETES;
byte crashes = CRASHES, lost = LOST, outages = OUTAGES, flushes = FLUSHES;
bit epoch, over, cut;
bit quiet;
byte joined;         /* acknowledged members of other fingerprints */
bit asked[2];
bit need[2];         /* the series' last acknowledged firing has to be found */
bit spared[2];       /* the series' end was acknowledged where nothing could match */
bit clear = 1;       /* an end, a deletion or a resolve since the last create */
bit raced;           /* the last create was worked out before a deletion was seen */
byte blind[2];       /* 1: a deletion not yet seen, 2: seen, but not by the decision under way */
byte maker[K];       /* the replica that made a request, 2 for one that was given up */

hidden byte i_, j_, own_, tgt_, act_, x_, y_, f_, b_;
hidden byte p_, m_, e_, slot_; /* those of see and slot */

#define V(r, k) v[(r) * K + (k)]
#define FR(r, k) fr[(r) * K + (k)]
#define SM(r, k) sm[(r) * K + (k)]
#define bitOf(k) (1 << (k))
#define isIn(mask, k) (((mask) >> (k)) & 1)

/* -- objects and views ---------------------------------------------------- */

inline copyRequest(d, o) {
  d.ex = o.ex; d.first = o.first; d.ph = o.ph; d.fe = o.fe; d.se = o.se; d.de = o.de;
  d.re = o.re; d.al[0] = o.al[0]; d.al[1] = o.al[1]
}
inline blankRequest(d) {
  d.ex = 0; d.first = 0; d.ph = 0; d.fe = 0; d.se = 0; d.de = 0; d.re = 0; d.al[0] = 0; d.al[1] = 0
}
inline copyStorm(d, o) {
  d.ex = o.ex; d.closed = o.closed; d.mem = o.mem; d.ph = o.ph; d.je = o.je; d.se = o.se;
  d.de = o.de; d.re = o.re; d.al[0] = o.al[0]; d.al[1] = o.al[1];
  d.before = o.before; d.others = o.others; d.n = o.n
}

/* The API's k as r's view has it from now on, with what r has pending. */
inline see(r, k) {
  if
  :: q[k].ex && V(r, k).ex && SM(r, k) ->
     p_ = V(r, k).al[0]; m_ = V(r, k).al[1]; e_ = V(r, k).se;
     copyRequest(V(r, k), q[k]);
     raise(V(r, k).al[0], p_); raise(V(r, k).al[1], m_); raise(V(r, k).se, e_)
  :: else -> copyRequest(V(r, k), q[k])
  fi;
  FR(r, k) = 1; SM(r, k) = 1
}
inline seeStorm(r) {
  if
  :: s.mem && w[r].mem ->
     p_ = w[r].al[0]; m_ = w[r].al[1]; e_ = w[r].se;
     copyStorm(w[r], s);
     raise(w[r].al[0], p_); raise(w[r].al[1], m_); raise(w[r].se, e_)
  :: else -> copyStorm(w[r], s)
  fi;
  wfr[r] = 1
}
inline seeAll(r) {
  for (i_ : 0 .. K - 1) { if :: !FR(r, i_) -> see(r, i_) :: else fi }
  if :: !wfr[r] -> seeStorm(r) :: else fi;
  if :: blind[r] == 1 -> blind[r] = ((st[r] == Idle && !unc[r].on) -> 0 : 2) :: else fi
}
/* Writes r's view of k, whole, over what the API has. */
inline apply(r, k) { copyRequest(q[k], V(r, k)); FR(1 - (r), k) = 0; FR(r, k) = 1 }
inline applyStorm(r) {
  copyStorm(s, w[r]); wfr[1 - (r)] = 0; wfr[r] = 1;
  checkMembers();
  if :: s.mem && allEnded(s) -> clear = 1 :: else fi
}

/* A join loses no member, and the count is that of the list. */
inline checkMembers() {
  assert((joined & ~s.others) == 0);
  assert(s.n == s.mem + isIn(s.others, 0) + isIn(s.others, 1))
}
/* What was acknowledged is somewhere. */
inline checkKept() {
  b_ = s.mem || held[0] > 0 || held[1] > 0;
  for (j_ : 0 .. K - 1) { if :: q[j_].ex -> b_ = 1 :: else fi };
  assert(b_ || !(need[0] || need[1]));
#ifdef REACH_BOTH
  for (j_ : 0 .. K - 1) { assert(!(q[j_].ex && q[j_].ph < 2 && s.mem && s.ph < 2)) }
#endif
  skip
}

/* -- what a replica makes of its view ------------------------------------- */

/* kube/strike.go: its own request stands, and the membership goes. */
#define struckBy(r, k) (w[r].mem && w[r].ph < 2 && V(r, k).ex && V(r, k).first && V(r, k).ph < 2 \
  && w[r].je <= V(r, k).se && V(r, k).fe <= w[r].se)
/* dispute.go Meet: of two requests of one episode that were opened without
 * knowledge of each other one goes, on which no work has begun. */
#define rivals(r, lo, hi) (V(r, lo).ex && V(r, hi).ex && V(r, lo).ph < 2 && V(r, hi).ph < 2 \
  && V(r, lo).fe <= V(r, hi).se && V(r, hi).fe <= V(r, lo).se \
  && !(V(r, lo).first && !V(r, hi).first && (V(r, lo).ph > 0 || V(r, hi).fe > V(r, lo).fe)))
#define higherYields(r, lo, hi) (rivals(r, lo, hi) && V(r, hi).ph == 0)
#define lowerYields(r, lo, hi) (rivals(r, lo, hi) && V(r, hi).ph > 0 && V(r, lo).ph == 0)
#define twins(r, lo, hi) (higherYields(r, lo, hi) || lowerYields(r, lo, hi))

/* kube/index.go newest: own_ is the highest request, tgt_ what stands for us. */
inline newest(r) {
  own_ = NONE;
  for (i_ : 0 .. K - 1) { if :: V(r, i_).ex -> own_ = i_ :: else fi };
  tgt_ = own_;
  if
  :: w[r].mem ->
     if
     :: own_ == NONE -> tgt_ = STORM
     :: else ->
        if :: isIn(w[r].before, own_) && !struckBy(r, own_) -> tgt_ = STORM :: else fi
     fi
  :: else
  fi
}

#define Late 1
#define Dup 2
#define New 3
#define Again 4
#define startedAfter(a, g, k) isIn(began[(a) * 3 + (g)], k)

/* dedup.go Fire against o, which is tgt_. */
inline judge(r, o) {
  x_ = o.al[hand[r].a];
  b_ = startedAfter(hand[r].a, hand[r].g, tgt_);
  y_ = 1 - hand[r].a;
  if
  :: x_ > 0 && !isOpen(x_) && x_ >= ENDED(hand[r].g) && hand[r].ep <= isIn(o.re, hand[r].a) && !hand[r].behind ->
     act_ = Late
  :: else ->
     if
     :: hand[r].sp && isIn(hand[r].since, tgt_) -> act_ = Dup
     :: else ->
        if
        :: o.ph == 1 -> act_ = Dup
        :: o.ph == 0 -> act_ = ((!allEnded(o) || hand[r].ep <= o.se) -> Dup : New)
        :: o.ph == 2 && hand[r].ep <= o.de -> act_ = (b_ -> Again : Dup)
        :: else -> act_ = ((isOpen(o.al[y_]) || isOpen(x_) && !b_) -> Again : New)
        fi
     fi
  fi
}
inline fire(r) {
  newest(r);
  if
  :: led[hand[r].a] >= hand[r].g && hand[r].ep <= lede[hand[r].a] && !hand[r].behind -> act_ = Late
  :: else ->
     if
     :: tgt_ == NONE -> act_ = New
     :: tgt_ == STORM -> judge(r, w[r])
     :: else -> judge(r, V(r, tgt_))
     fi
  fi
}

/* -- answers -------------------------------------------------------------- */

inline clearSignal(h) { h.res = 0; h.sp = 0; h.behind = 0; h.ep = 0; h.a = 0; h.g = 0; h.since = 0 }
inline copySignal(d, h) {
  d.res = h.res; d.sp = h.sp; d.behind = h.behind; d.ep = h.ep; d.a = h.a; d.g = h.g; d.since = h.since
}
inline clearOrder(o) { o.on = 0; o.first = 0; o.ep = 0; o.old = 0; o.k = 0; o.a = 0; o.g = 0 }
inline copyOrder(d, o) {
  d.on = 1; d.first = o.first; d.ep = o.ep; d.old = o.old; d.k = o.k; d.a = o.a; d.g = o.g
}
inline idle(r) {
  st[r] = Idle; clearSignal(hand[r]); clearOrder(call[r]); target[r] = 0;
  if :: blind[r] == 2 && !unc[r].on -> blind[r] = 0 :: else fi
}
/* 2xx. must: the firing has to be found from now on. */
inline ack(r, must) {
  if
  :: hand[r].res && res[hand[r].a] && gen[hand[r].a] == hand[r].g -> rack[hand[r].a] = 1
  :: !hand[r].res && gen[hand[r].a] == hand[r].g -> fack[hand[r].a] = 1; need[hand[r].a] = must
  :: else
  fi
}
/* The signal in hand has its outcome: its sender is told, or its spool entry goes. */
inline done(r, must) {
  if
  :: hand[r].sp ->
     held[r]--;
     copySignal(spool[(r) * ROOM], spool[(r) * ROOM + 1]); clearSignal(spool[(r) * ROOM + 1]);
     if :: !hand[r].res && gen[hand[r].a] == hand[r].g -> need[hand[r].a] = must :: else fi
  :: else -> ack(r, must)
  fi;
  idle(r);
  checkKept()
}
/* The API did not take it: a spool entry stays, another goes to the spool, and
 * where there is no room the sender is told to try again. */
inline put(r) {
  hand[r].sp = 1;
  copySignal(spool[(r) * ROOM + held[r]], hand[r]);
  held[r]++;
  hand[r].sp = 0;
  ack(r, 1);
  idle(r)
}
inline fail(r) {
  if
  :: !hand[r].sp && outages > 0 && held[r] < ROOM -> outages--; put(r)
  :: else -> idle(r)
  fi
}

/* An end is matched as of the watch. spared: r could not know of what the end
 * belongs to, since another's create has not reached its watch, or a firing is
 * still under way. */
inline excuse(r, a0) {
  f_ = fly.on || unc[1 - (r)].on || held[1 - (r)] > 0 || st[1 - (r)] != Idle || (s.mem && !w[r].mem);
  for (j_ : 0 .. K - 1) { if :: q[j_].ex && !(V(r, j_).ex && SM(r, j_)) && maker[j_] != (r) -> f_ = 1 :: else fi };
  if :: f_ -> spared[a0] = 1 :: else fi
}

/* -- deciding ------------------------------------------------------------- */

/* yes is the storm's verdict, which no rule fixes: the ledger may know all
 * entries of the window, some, or none. */
inline decide(r, yes) {
  if :: blind[r] == 2 && !unc[r].on -> blind[r] = 0 :: else fi;
#ifdef BAD_CHECK
  seeAll(r);
#endif
  st[r] = Decide;
  if
#ifndef BAD_NO_SETTLE
  :: unc[r].on -> st[r] = Settle
#endif
  :: else ->
#ifdef BAD_NO_SETTLE
     clearOrder(unc[r]);
#endif
     if
     :: hand[r].res -> decideEnd(r)
     :: else ->
        fire(r);
        if
        :: act_ == Late -> done(r, 0)
        :: act_ == Dup -> note(r)
        :: else ->
           call[r].on = 1; call[r].first = (act_ == New); call[r].ep = hand[r].ep;
           call[r].a = hand[r].a; call[r].g = hand[r].g;
           call[r].k = (own_ == NONE -> 0 : own_ + 1);
           st[r] = Create;
           if
           :: act_ == New && w[r].ex && !w[r].closed && w[r].ph < 2 -> st[r] = Join
           :: act_ == New && !w[r].ex && yes -> st[r] = Open
           :: else
           fi;
           if
           :: st[r] != Create -> clearOrder(call[r])
           :: st[r] == Create && call[r].k >= K -> cut = 1
           :: else
           fi;
#ifdef BAD_ACK_FIRST
           if :: !hand[r].sp -> ack(r, 1) :: else fi
#endif
           skip
        fi
     fi
  fi
}
/* A duplicate is counted in the view and flushed later. It counts as found even
 * where the view is behind and the request has ended since, or has been deleted. */
inline note(r) {
  b_ = 1;
  if
  :: tgt_ == STORM ->
     raise(w[r].al[hand[r].a], OPEN(hand[r].g)); raise(w[r].se, hand[r].ep);
     if :: !wfr[r] && s.ph == 2 -> b_ = 0 :: else fi
  :: else ->
     raise(V(r, tgt_).al[hand[r].a], OPEN(hand[r].g)); raise(V(r, tgt_).se, hand[r].ep);
     if
     :: !SM(r, tgt_) && deletes < DELETES -> b_ = 0
     :: SM(r, tgt_) && q[tgt_].ph == 2 && V(r, tgt_).ph < 2 -> b_ = 0
     :: else
     fi
  fi;
#ifdef STRICT
  b_ = 1;
#endif
  done(r, b_)
}
/* dedup.go Resolve. */
inline decideEnd(r) {
  newest(r);
  if
  :: tgt_ == NONE ->
     led[hand[r].a] = hand[r].g; lede[hand[r].a] = hand[r].ep;
     excuse(r, hand[r].a);
     done(r, 0)
  :: else ->
     x_ = ((tgt_ == STORM) -> w[r].al[hand[r].a] : V(r, tgt_).al[hand[r].a]);
     if
     :: x_ >= ENDED(hand[r].g) -> done(r, 0)
     :: else ->
        if :: tgt_ != STORM -> excuse(r, hand[r].a) :: else fi;
        target[r] = tgt_; st[r] = Resolve
     fi
  fi
}

/* -- calls of the API ----------------------------------------------------- */

/* A request comes to be, by replica r or by a create that lands late (by is 2). */
inline born(by, ord, num) {
  /* Between two requests lies an end, a deletion or a resolve, unless one of the
   * two was worked out before its replica saw a deletion: then one is withdrawn. */
  if :: by < 2 -> e_ = blind[by] > 0 :: else -> e_ = ord.old fi;
  assert(clear || e_ || raced);
  raced = e_; clear = 0;
  blankRequest(q[num]);
  q[num].ex = 1; q[num].first = ord.first; q[num].fe = ord.ep; q[num].se = ord.ep; q[num].al[ord.a] = OPEN(ord.g);
  maker[num] = by;
  s.before = s.before & ~bitOf(num);
  for (i_ : 0 .. 1) {
    FR(i_, num) = 0; SM(i_, num) = 0;
    w[i_].before = w[i_].before & ~bitOf(num);
    if :: st[i_] != Idle && i_ != by -> hand[i_].since = hand[i_].since | bitOf(num) :: else fi
  }
  for (i_ : 0 .. 2 * ROOM - 1) {
    if :: i_ % ROOM < held[i_ / ROOM] -> spool[i_].since = spool[i_].since | bitOf(num) :: else fi
  }
  for (i_ : 0 .. 5) { began[i_] = began[i_] & ~bitOf(num) }
}
/* The slot that a create takes: its number, which the API server gives out once. */
inline slot(o) {
  slot_ = o.k;
#if defined(BAD_RANDOM) || defined(BAD_CHECK)
  slot_ = K;
  for (i_ : 0 .. K - 1) { if :: !q[i_].ex && slot_ == K -> slot_ = i_ :: else fi };
  if :: slot_ == K -> cut = 1; slot_ = 0 :: else fi;
#endif
  skip
}
/* No drain creates after a create that followed its receipt. */
inline checkDrain(r) {
  if
  :: hand[r].sp -> for (i_ : 0 .. K - 1) { assert(!(isIn(hand[r].since, i_) && q[i_].ex)) }
  :: else
  fi
}
inline create(r) {
  slot(call[r]);
  if
  :: cut
  :: !cut && !q[slot_].ex ->
     checkDrain(r);
     born(r, call[r], slot_);
     see(r, slot_);
     done(r, 1)
  :: else -> see(r, slot_); clearOrder(call[r]); st[r] = Decide
  fi
}
inline settle(r) {
  slot(unc[r]);
  if
  :: cut
  :: !cut && !q[slot_].ex -> born(r, unc[r], slot_); see(r, slot_)
  :: else -> see(r, slot_)
  fi;
  clearOrder(unc[r]); st[r] = Decide
}
inline openStorm(r) {
  if
  :: !s.ex ->
     s.ex = 1; wfr[1 - r] = 0;
     for (i_ : 0 .. 1) { if :: st[i_] != Idle && i_ != r -> hand[i_].since = hand[i_].since | bitOf(STORM) :: else fi }
     for (i_ : 0 .. 2 * ROOM - 1) {
       if :: i_ % ROOM < held[i_ / ROOM] -> spool[i_].since = spool[i_].since | bitOf(STORM) :: else fi
     }
     seeStorm(r); st[r] = Join
  :: else -> seeStorm(r); st[r] = Decide
  fi
}

/* kube/write.go: a write under the version that it was worked out from. Where
 * another was first the object is read, and the write is worked out anew. */
#ifdef BAD_NO_VERSION
#define behind(fresh) 0
#else
#define behind(fresh) (!(fresh))
#endif
inline join(r) {
  if
  :: behind(wfr[r]) -> seeStorm(r)
  :: else ->
     if
     :: w[r].mem ->
        raise(w[r].al[hand[r].a], OPEN(hand[r].g)); raise(w[r].se, hand[r].ep);
        applyStorm(r); done(r, 1)
     :: !w[r].mem && !w[r].closed && w[r].ph < 2 ->
        w[r].mem = 1; w[r].n++;
        w[r].al[0] = 0; w[r].al[1] = 0; w[r].re = 0;
        w[r].al[hand[r].a] = OPEN(hand[r].g); w[r].je = hand[r].ep; w[r].se = hand[r].ep;
        w[r].before = 0;
        for (i_ : 0 .. K - 1) {
          if :: q[i_].ex && !isIn(hand[r].since, i_) -> w[r].before = w[r].before | bitOf(i_) :: else fi
        }
        applyStorm(r); done(r, 1)
     :: else -> st[r] = Decide
     fi
  fi
}
#define end(o, r) \
  raise(o.al[hand[r].a], ENDED(hand[r].g)); \
  o.re = (o.re & ~bitOf(hand[r].a)) | (hand[r].ep << hand[r].a)
inline resolve(r) {
  if
  :: target[r] == STORM ->
     if
     :: behind(wfr[r]) -> seeStorm(r)
     :: else ->
        if
        :: w[r].mem -> end(w[r], r); applyStorm(r); done(r, 0)
#ifdef BAD_SILENT_END
        :: else -> done(r, 0)
#else
        :: else -> st[r] = Decide
#endif
        fi
     fi
  :: else ->
     if
     :: !SM(r, target[r]) || !q[target[r]].ex -> see(r, target[r]); st[r] = Decide
     :: else ->
        if
        :: behind(FR(r, target[r])) -> see(r, target[r])
        :: else ->
           end(V(r, target[r]), r); apply(r, target[r]);
           if :: allEnded(q[target[r]]) -> clear = 1 :: else fi;
           done(r, 0)
        fi
     fi
  fi
}

/* -- processes ------------------------------------------------------------ */

#define firing(a0) (gen[a0] > 0 && !res[a0] && !fack[a0])
#define ending(a0) (res[a0] && !rack[a0])
#define goes (!cut)

inline receive(r, a0) {
  hand[r].a = a0; hand[r].g = gen[a0]; hand[r].ep = epoch; hand[r].res = res[a0];
  if
  :: res[a0] ->
     if :: st[1 - r] != Idle && hand[1 - r].a == a0 -> hand[1 - r].behind = 1 :: else fi;
     for (i_ : 0 .. 2 * ROOM - 1) { if :: i_ % ROOM < held[i_ / ROOM] && spool[i_].a == a0 -> spool[i_].behind = 1 :: else fi }
  :: else
  fi;
  st[r] = Decide
}

/* Serves senders, and drains its spool. A fingerprint has one signal in hand. */
proctype Serve(byte r) {
  byte a;
end:
  do
  :: d_step { goes && st[r] == Idle && held[r] == 0 && (firing(0) || ending(0)) -> receive(r, 0); decide(r, 0) }
  :: d_step { goes && st[r] == Idle && held[r] == 0 && SERIES > 1 && (firing(1) || ending(1)) -> receive(r, 1); decide(r, 0) }
#if OUTAGES > 0
  :: d_step { goes && st[r] == Idle && held[r] > 0 && held[r] < ROOM && (firing(0) || ending(0)) -> receive(r, 0); put(r) }
  :: d_step { goes && st[r] == Idle && held[r] > 0 && held[r] < ROOM && SERIES > 1 && (firing(1) || ending(1)) -> receive(r, 1); put(r) }
  :: d_step { goes && st[r] == Idle && held[r] > 0 -> copySignal(hand[r], spool[r * ROOM]); decide(r, 0) }
#if STORMS
  :: d_step { goes && st[r] == Idle && held[r] > 0 && !w[r].ex -> copySignal(hand[r], spool[r * ROOM]); decide(r, 1) }
#endif
  :: d_step { goes && outages > 0 && st[r] != Idle && st[r] != Decide && !hand[r].sp && held[r] < ROOM -> outages--; put(r) }
#endif
#if STORMS
  :: d_step { goes && st[r] == Idle && held[r] == 0 && !w[r].ex && firing(0) -> receive(r, 0); decide(r, 1) }
  :: d_step { goes && st[r] == Idle && held[r] == 0 && !w[r].ex && SERIES > 1 && firing(1) -> receive(r, 1); decide(r, 1) }
  :: d_step { goes && st[r] == Decide && !w[r].ex && !hand[r].res -> decide(r, 1) }
  :: d_step { goes && st[r] == Open -> openStorm(r) }
  :: d_step { goes && st[r] == Join -> join(r) }
#endif
  :: d_step { goes && st[r] == Decide -> decide(r, 0) }
  :: d_step { goes && st[r] == Settle -> settle(r) }
  :: d_step { goes && st[r] == Create -> create(r) }
  :: d_step { goes && st[r] == Resolve -> resolve(r) }
#if LOST > 0
  /* Carried out, and the answer lost; or still on its way to the API. */
  :: d_step { goes && lost > 0 && st[r] == Create ->
       lost--; slot(call[r]);
       if
       :: cut
       :: !cut && !q[slot_].ex -> checkDrain(r); copyOrder(unc[r], call[r]); born(r, call[r], slot_); fail(r)
       :: else -> copyOrder(unc[r], call[r]); fail(r)
       fi }
  :: d_step { goes && lost > 0 && st[r] == Create ->
       lost--; copyOrder(unc[r], call[r]); copyOrder(fly, call[r]); fail(r) }
#if STORMS
  :: d_step { goes && lost > 0 && st[r] == Join && wfr[r] && !s.mem && !s.closed && s.ph < 2 ->
       lost--;
       s.mem = 1; s.n++; s.al[0] = 0; s.al[1] = 0; s.re = 0; s.al[hand[r].a] = OPEN(hand[r].g);
       s.je = hand[r].ep; s.se = hand[r].ep; s.before = 0;
       for (i_ : 0 .. K - 1) {
         if :: q[i_].ex && !isIn(hand[r].since, i_) -> s.before = s.before | bitOf(i_) :: else fi
       }
       wfr[0] = 0; wfr[1] = 0; checkMembers(); fail(r) }
#endif
#endif
  od
}

/* The watch: it catches up, some time. */
proctype Watch(byte r) {
end:
  do
  :: d_step { goes && (!FR(r, 0) || !FR(r, 1) || (K > 2 && !FR(r, K - 1)) || !wfr[r] || blind[r] == 1) -> seeAll(r) }
  od
}

#define unsaid(r, k) (V(r, k).ex && FR(r, k) && (V(r, k).al[0] != q[k].al[0] || V(r, k).al[1] != q[k].al[1] || V(r, k).se != q[k].se))
#define unsaidStorm(r) (w[r].mem && wfr[r] && (w[r].al[0] != s.al[0] || w[r].al[1] != s.al[1] || w[r].se != s.se))
#define highest(r, k) (V(r, k).ex && ((k) == K - 1 || !V(r, K - 1).ex) && ((k) > 0 || !V(r, 1).ex))
#define strikes(r) ((highest(r, 0) && struckBy(r, 0)) || (highest(r, 1) && struckBy(r, 1)) \
  || (K > 2 && highest(r, K - 1) && struckBy(r, K - 1)))

/* What o knows of an end or a start goes to the request that stands before
 * what told it goes, so that nothing of it is lost. */
#define knowsMore(o, r, k) (o.al[0] > V(r, k).al[0] || o.al[1] > V(r, k).al[1])
inline carry(r, o, k) {
  if
  :: !FR(r, k) -> see(r, k)
  :: else ->
     if :: o.al[0] > V(r, k).al[0] -> V(r, k).re = (V(r, k).re & 2) | (o.re & 1) :: else fi;
     if :: o.al[1] > V(r, k).al[1] -> V(r, k).re = (V(r, k).re & 1) | (o.re & 2) :: else fi;
     raise(V(r, k).al[0], o.al[0]); raise(V(r, k).al[1], o.al[1]); raise(V(r, k).se, o.se);
     apply(r, k);
     if :: allEnded(q[k]) -> clear = 1 :: else fi
  fi
}
inline withdraw(r, stays, yields) {
  if
  :: !FR(r, yields) -> see(r, yields)
#ifndef BAD_NO_CARRY
  :: FR(r, yields) && knowsMore(V(r, yields), r, stays) -> carry(r, V(r, yields), stays)
#endif
  :: else ->
     blankRequest(q[yields]); clear = 1;
     FR(1 - r, yields) = 0; SM(1 - r, yields) = 0; see(r, yields);
     checkKept()
  fi
}
inline strike(r) {
  newest(r);
  if
  :: behind(wfr[r]) -> seeStorm(r)
#ifndef BAD_NO_CARRY
  :: !behind(wfr[r]) && knowsMore(w[r], r, own_) -> carry(r, w[r], own_)
#endif
  :: else ->
     w[r].mem = 0; w[r].n--; w[r].al[0] = 0; w[r].al[1] = 0; w[r].re = 0;
     w[r].je = 0; w[r].se = 0; w[r].before = 0;
     applyStorm(r); checkKept()
  fi
}

/* Flushes counts, strikes members, withdraws requests, closes the storm, and
 * joins members of other fingerprints. */
proctype Keep(byte r) {
end:
  do
  :: d_step { goes && unsaid(r, 0) -> apply(r, 0) }
  :: d_step { goes && unsaid(r, 1) -> apply(r, 1) }
#if K > 2
  :: d_step { goes && unsaid(r, 2) -> apply(r, 2) }
#endif
#ifndef BAD_NO_WITHDRAW
  :: d_step { goes && higherYields(r, 0, 1) -> withdraw(r, 0, 1) }
  :: d_step { goes && lowerYields(r, 0, 1) -> withdraw(r, 1, 0) }
#if K > 2
  :: d_step { goes && higherYields(r, 0, 2) -> withdraw(r, 0, 2) }
  :: d_step { goes && lowerYields(r, 0, 2) -> withdraw(r, 2, 0) }
  :: d_step { goes && higherYields(r, 1, 2) -> withdraw(r, 1, 2) }
  :: d_step { goes && lowerYields(r, 1, 2) -> withdraw(r, 2, 1) }
#endif
#endif
#if STORMS
  :: d_step { goes && unsaidStorm(r) -> applyStorm(r) }
#ifndef BAD_NO_STRIKE
  :: d_step { goes && strikes(r) -> strike(r) }
#endif
#if CLOSES
  :: d_step { goes && over && w[r].ex && !w[r].closed ->
       if :: behind(wfr[r]) -> seeStorm(r) :: else -> w[r].closed = 1; applyStorm(r) fi }
#endif
#if OTHERS
  :: d_step { goes && !asked[r] && w[r].ex ->
       if
       :: w[r].closed || w[r].ph == 2 -> asked[r] = 1
       :: else ->
          if
          :: behind(wfr[r]) -> seeStorm(r)
          :: else ->
             asked[r] = 1;
             w[r].others = w[r].others | bitOf(r); w[r].n++; joined = joined | bitOf(r);
             applyStorm(r)
          fi
       fi }
#endif
#endif
  od
}

inline begin(a0) {
  gen[a0]++; res[a0] = 0; fack[a0] = 0; rack[a0] = 0; need[a0] = 0; spared[a0] = 0;
  for (i_ : 0 .. K - 1) {
    if :: q[i_].ex && q[i_].ph == 2 -> began[a0 * 3 + gen[a0]] = began[a0 * 3 + gen[a0]] | bitOf(i_) :: else fi
  }
  if :: s.ex && s.ph == 2 -> began[a0 * 3 + gen[a0]] = began[a0 * 3 + gen[a0]] | bitOf(STORM) :: else fi
}
inline step(k) {
  q[k].ph++;
  if :: q[k].ph == 2 -> finishes--; q[k].de = epoch; clear = 1 :: else fi;
  FR(0, k) = 0; FR(1, k) = 0
}
inline delete(k) {
  deletes--;
  blankRequest(q[k]); clear = 1;
  need[0] = 0; need[1] = 0;
  for (i_ : 0 .. 1) {
    FR(i_, k) = 0; SM(i_, k) = 0; blind[i_] = 1;
    hand[i_].since = hand[i_].since & ~bitOf(k)
  }
  for (i_ : 0 .. 2 * ROOM - 1) { spool[i_].since = spool[i_].since & ~bitOf(k) }
  if :: fly.on -> fly.old = 1 :: else fi
}
/* The process is gone, and another lists what there is. The spool stays. */
inline crash(r) {
  crashes--;
  idle(r); clearOrder(unc[r]);
  for (i_ : 0 .. K - 1) { SM(r, i_) = 0; FR(r, i_) = 0 }
  w[r].mem = 0; wfr[r] = 0;
  seeAll(r); blind[r] = 0
}
#define still(r) (st[r] == Idle && !unsaid(r, 0) && !unsaid(r, 1) && FR(r, 0) && FR(r, 1) && wfr[r] \
  && (K < 3 || (!unsaid(r, K - 1) && FR(r, K - 1))) && !unsaidStorm(r) && !strikes(r) && !twins(r, 0, 1) \
  && (K < 3 || (!twins(r, 0, K - 1) && !twins(r, 1, K - 1))) && blind[r] != 1)

/* Senders' lives, the controller, a person, the network, the ledger's loss. */
proctype World() {
end:
  do
  :: d_step { goes && !quiet && gen[0] < STARTS && (gen[0] == 0 || res[0]) -> begin(0) }
  :: d_step { goes && !quiet && SERIES > 1 && gen[1] < STARTS && (gen[1] == 0 || res[1]) -> begin(1) }
#if RESOLVES > 0
  :: d_step { goes && !quiet && resolves > 0 && gen[0] > 0 && !res[0] -> resolves--; res[0] = 1 }
  :: d_step { goes && !quiet && resolves > 0 && gen[1] > 0 && !res[1] -> resolves--; res[1] = 1 }
#endif
#if RESENDS > 0
  :: d_step { goes && !quiet && resends > 0 && fack[0] && !res[0] -> resends--; fack[0] = 0 }
  :: d_step { goes && !quiet && resends > 0 && fack[1] && !res[1] -> resends--; fack[1] = 0 }
#endif
#ifdef FOREVER
  :: d_step { goes && fack[0] && !res[0] -> fack[0] = 0 }
#endif
#if FINISHES > 0
  :: d_step { goes && !quiet && finishes > 0 && q[0].ex && q[0].ph < 2 -> step(0) }
  :: d_step { goes && !quiet && finishes > 0 && q[1].ex && q[1].ph < 2 -> step(1) }
#if K > 2
  :: d_step { goes && !quiet && finishes > 0 && q[2].ex && q[2].ph < 2 -> step(2) }
#endif
#if STORMS
  :: d_step { goes && !quiet && finishes > 0 && s.ex && s.ph < 2 ->
       s.ph++; wfr[0] = 0; wfr[1] = 0;
       if :: s.ph == 2 -> finishes--; s.de = epoch; clear = 1 :: else fi }
#endif
#endif
#if DELETES > 0
  :: d_step { goes && !quiet && deletes > 0 && q[0].ex -> delete(0) }
  :: d_step { goes && !quiet && deletes > 0 && q[1].ex -> delete(1) }
#endif
#if CRASHES > 0
  :: d_step { goes && !quiet && crashes > 0 -> crash(0) }
  :: d_step { goes && !quiet && crashes > 0 -> crash(1) }
#endif
#if LOST > 0
  :: d_step { goes && fly.on && !q[fly.k].ex -> born(2, fly, fly.k); clearOrder(fly) }
  :: d_step { goes && fly.on -> clearOrder(fly) }
#endif
#if FLUSHES > 0
  :: d_step { goes && !quiet && flushes > 0 && (led[0] > 0 || led[1] > 0) -> flushes--; led[0] = 0; led[1] = 0; lede[0] = 0; lede[1] = 0 }
#endif
#if CLOSES
  :: d_step { goes && !quiet && !over && s.ex -> over = 1 }
#endif
  :: d_step { goes && !quiet -> quiet = 1 }
  od
}

/* Time enough for every window passes while nothing is under way but what is
 * spooled. What was of unknown outcome has been found out by then. */
proctype Time() {
end:
  do
#if PAUSES > 0
  :: d_step { goes && !quiet && epoch == 0 && still(0) && still(1) && !fly.on ->
       epoch = 1; clearOrder(unc[0]); clearOrder(unc[1]) }
#endif
  :: d_step { goes && 0 -> skip }
  od
}

/* At rest: nothing can move, nothing more will happen, and all is delivered. */
inline checkRest() {
  x_ = NONE;
  for (i_ : 0 .. K - 1) { if :: q[i_].ex -> x_ = i_ :: else fi };
  /* Nothing is both request and member of one episode. */
  assert(x_ == NONE || !(s.mem && s.ph < 2 && q[x_].first && q[x_].ph < 2 && s.je <= q[x_].se && q[x_].fe <= s.se));
  /* No two requests of one episode wait for the controller. */
  for (i_ : 1 .. K - 1) {
    for (j_ : 0 .. i_ - 1) {
      assert(!(q[i_].ex && q[j_].ex && q[i_].ph == 0 && q[j_].ph == 0 && q[i_].fe <= q[j_].se && q[j_].fe <= q[i_].se
        && !(q[j_].first && !q[i_].first && q[i_].fe > q[j_].fe)))
    }
  }
  assert(held[0] == 0 && held[1] == 0);
  for (i_ : 0 .. SERIES - 1) {
    /* What fires and was acknowledged has a request that had not ended before it began. */
    f_ = s.mem && !startedAfter(i_, gen[i_], STORM);
    for (j_ : 0 .. K - 1) { if :: q[j_].ex && !startedAfter(i_, gen[i_], j_) -> f_ = 1 :: else fi };
    assert(f_ || !(need[i_] && fack[i_] && !res[i_]));
      /* What ended and was acknowledged is not open in what stands. */
    if
    :: res[i_] && rack[i_] && !spared[i_] ->
       assert(!(s.mem && s.ph < 2 && isOpen(s.al[i_])));
       if :: x_ != NONE -> assert(!(q[x_].ph < 2 && isOpen(q[x_].al[i_]))) :: else fi
    :: else
    fi
  }
}

#ifdef LIVE
#define stands ((q[0].ex && q[0].ph < 2) || (q[1].ex && q[1].ph < 2) || (K > 2 && q[K - 1].ex && q[K - 1].ph < 2) || (s.mem && s.ph < 2))
ltl found { [] ((gen[0] > 0 && !stands) -> <> stands) }
#endif

init {
  d_step { for (i_ : 0 .. 2 * K - 1) { fr[i_] = 1; sm[i_] = 1 }; wfr[0] = 1; wfr[1] = 1 };
  atomic { run Serve(0); run Serve(1); run Watch(0); run Watch(1); run Keep(0); run Keep(1); run World(); run Time() };
#ifndef LIVE
  timeout;
  d_step { if :: quiet && !cut -> checkRest() :: else fi }
#endif
}
