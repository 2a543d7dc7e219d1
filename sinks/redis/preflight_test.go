package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

func TestPreflight_AcceptsAServerThatEvictsNothing(t *testing.T) {
	b := newBench(t, nil, realRedis(t))
	p, err := b.store.Preflight(context.Background())
	if err != nil {
		t.Fatalf("preflight: %v", err)
	}
	if !strings.HasPrefix(p.Version, "7.") || p.Mode != "standalone" || len(p.Warnings) != 0 {
		t.Errorf("preflight: got %+v", p)
	}
}

func TestHazard_B17_PreflightRefusesEviction(t *testing.T) {
	srv := testenv.Redis(t, "--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru")
	b := newBench(t, nil, "redis://"+srv.Addr)
	_, err := b.store.Preflight(context.Background())
	if err == nil || !strings.Contains(err.Error(), "allkeys-lru") || !strings.Contains(err.Error(), "set noeviction") {
		t.Errorf("preflight: got %v, want the policy and the way out", err)
	}
}

func TestPreflight_NamesAllMistakesAtOnce(t *testing.T) {
	p := &Preflight{}
	errs := p.server(map[string]string{"redis_version": "6.2.1", "role": "slave"}, nil)
	errs = append(errs, p.memory("volatile-ttl", nil)...)
	if got, want := len(errs), 3; got != want {
		t.Errorf("mistakes: got %d, want %d: %v", got, want, errs)
	}
}

func TestPreflight_WhatAServerDoesNotTellIsAWarning(t *testing.T) {
	p := &Preflight{}
	errs := append(p.server(nil, errors.New("NOPERM")), p.memory("", errors.New("ERR unknown command CONFIG"))...)
	if len(errs) != 0 || len(p.Warnings) != 2 {
		t.Errorf("got errors %v, warnings %q; want none and two", errs, p.Warnings)
	}
}

func TestHazard_B17_FullServerTakesNothingAndSaysSo(t *testing.T) {
	srv := testenv.Redis(t, "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
	b := newBench(t, nil, "redis://"+srv.Addr)
	ctx := context.Background()
	l := newFakeLog(1)
	m := b.metric(oneShard)
	l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
	h := b.hand(l, m)
	h.sync()
	for _, size := range []int{1 << 16, 1 << 10, 1} {
		filler := strings.Repeat("x", size)
		for i := 0; b.client.Set(ctx, fmt.Sprintf("fill%d-%d", size, i), filler, 0).Err() == nil; i++ {
			if i > 10_000 {
				t.Fatal("the server never got full")
			}
		}
	}
	if err := h.tryFlush(); err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("flush on a full server: got %v, want an error that names maxmemory", err)
	}
	checkExact(t, b.store, l, m)
	b.client.Del(ctx, "fill65536-0", "fill65536-1")
	h.sync()
	checkExact(t, b.store, l, m)
}

func TestTable_ReplicaIsNamed(t *testing.T) {
	srv := testenv.Redis(t, "--replicaof", "127.0.0.1", "1")
	b := newBench(t, nil, "redis://"+srv.Addr)
	if _, err := b.store.Preflight(context.Background()); err == nil || !strings.Contains(err.Error(), "primary") {
		t.Errorf("preflight of a replica: got %v", err)
	}
	l := newFakeLog(1)
	h := b.hand(l, b.metric(oneShard))
	if err := h.tryLoad(); err == nil || !strings.Contains(err.Error(), "primary") {
		t.Errorf("load from a replica: got %v", err)
	}
}

func TestRun_UnknownScriptIsLoadedAgain(t *testing.T) {
	b := newBench(t, nil, realRedis(t))
	l := newFakeLog(1)
	m := b.metric(oneShard)
	s0 := l.shard("00")
	s0.event(0, 101, `"city":"Pune","amount":1`)
	h := b.hand(l, m)
	h.sync()
	b.client.ScriptFlush(context.Background())
	s0.event(0, 102, `"city":"Pune","amount":1`)
	h.foldAll()
	h.flush()
	checkExact(t, b.store, l, m)
}

func TestOpen_ErrorDoesNotHoldThePassword(t *testing.T) {
	_, err := Open(Options{URL: "http://u:s3cret@h"})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestTable_BookkeepingExpiresBeforeTheWindows(t *testing.T) {
	onEvery(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "max(amount)" })
		s0 := l.shard("00")
		s0.beat(50)
		s0.event(0, 101, `"city":"Pune","amount":1,"at":`+datetime(101))
		h := b.hand(l, m)
		h.sync()
		state := b.client.PTTL(ctx, h.r.t.keys.state()).Val()
		for _, k := range h.r.t.keys.window(nil, "100") {
			if ttl := b.client.PTTL(ctx, k).Val(); state <= 0 || ttl < state+m.Retain/2 {
				b.Errorf("%s lives %v, the bookkeeping %v: want at least half of retain more", k, ttl, state)
			}
			b.client.PExpire(ctx, k, time.Minute)
		}
		if err := h.r.t.touch(ctx); err != nil {
			b.Fatal(err)
		}
		for _, k := range h.r.t.keys.window(nil, "100") {
			if ttl := b.client.PTTL(ctx, k).Val(); ttl <= time.Minute {
				b.Errorf("%s was not extended: %v", k, ttl)
			}
		}
	})
}
