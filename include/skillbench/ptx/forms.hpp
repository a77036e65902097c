#pragma once
// ptx/forms.hpp: the instructions of sm_90a, form by form, and which of them the
// machine runs.
//
// Layer   3. Includes decoder.hpp.
// Shapes  a pattern is an opcode with its modifiers, of which {a,b} is a choice
//         and {,a} an option, and operands: t is a register as wide as the first
//         type among the modifiers, u as the last, h r d q are 16, 32, 64 and 128
//         bits, p is a predicate; everything else stands as it is.
// Source  PTX ISA 9.0, chapter "Instruction Set", its order and its words.
//         ptxas 13.0 takes every form that stands here.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/ptx/decoder.hpp>
#include <skillbench/ptx/parse.hpp>

namespace skillbench::ptx {

struct form_group {
  std::string_view title;
  std::vector<std::string_view> patterns;
};

[[nodiscard]] inline const std::vector<form_group>& forms() {
  static const std::vector<form_group> all = {
      {"Integer arithmetic",
       {"add.{u16,u32,u64,s16,s32,s64,u16x2,s16x2} t, t, t",
        "add.sat.s32 t, t, t",
        "sub.{u16,u32,u64,s16,s32,s64} t, t, t",
        "sub.sat.s32 t, t, t",
        "mul.{hi,lo}.{u16,u32,u64,s16,s32,s64} t, t, t",
        "mul.wide.{u16,s16} r, t, t",
        "mul.wide.{u32,s32} d, t, t",
        "mad.{hi,lo}.{u16,u32,u64,s16,s32,s64} t, t, t, t",
        "mad.wide.{u16,s16} r, t, t, r",
        "mad.wide.{u32,s32} d, t, t, d",
        "mad.hi.sat.s32 t, t, t, t",
        "mul24.{hi,lo}.{u32,s32} t, t, t",
        "mad24.{hi,lo}.{u32,s32} t, t, t, t",
        "mad24.hi.sat.s32 t, t, t, t",
        "sad.{u16,u32,u64,s16,s32,s64} t, t, t, t",
        "div.{u16,u32,u64,s16,s32,s64} t, t, t",
        "rem.{u16,u32,u64,s16,s32,s64} t, t, t",
        "abs.{s16,s32,s64} t, t",
        "neg.{s16,s32,s64} t, t",
        "min.{u16,u32,u64,s16,s32,s64,u16x2,s16x2} t, t, t",
        "max.{u16,u32,u64,s16,s32,s64,u16x2,s16x2} t, t, t",
        "min.relu.{s32,s16x2} t, t, t",
        "max.relu.{s32,s16x2} t, t, t",
        "popc.{b32,b64} r, t",
        "clz.{b32,b64} r, t",
        "bfind{,.shiftamt}.{u32,u64,s32,s64} r, t",
        "fns.b32 r, r, r, r",
        "brev.{b32,b64} t, t",
        "bfe.{u32,u64,s32,s64} t, t, r, r",
        "bfi.{b32,b64} t, t, t, r, r",
        "bmsk.{clamp,wrap}.b32 r, r, r",
        "szext.{clamp,wrap}.{u32,s32} r, r, r",
        "dp4a.{u32,s32}.{u32,s32} r, r, r, r",
        "dp2a.{lo,hi}.{u32,s32}.{u32,s32} r, r, r, r"}},
      {"Extended-precision integer arithmetic",
       {"add.cc.{u32,s32,u64,s64} t, t, t",
        "addc{,.cc}.{u32,s32,u64,s64} t, t, t",
        "sub.cc.{u32,s32,u64,s64} t, t, t",
        "subc{,.cc}.{u32,s32,u64,s64} t, t, t",
        "mad.{hi,lo}.cc.{u32,s32,u64,s64} t, t, t, t",
        "madc.{hi,lo}{,.cc}.{u32,s32,u64,s64} t, t, t, t"}},
      {"Floating point",
       {"testp.{finite,infinite,number,notanumber,normal,subnormal}.{f32,f64} p, t",
        "copysign.{f32,f64} t, t, t",
        "add{,.rn,.rz,.rm,.rp}{,.ftz}{,.sat}.f32 t, t, t",
        "add{,.rn,.rz,.rm,.rp}.f64 t, t, t",
        "sub{,.rn,.rz,.rm,.rp}{,.ftz}{,.sat}.f32 t, t, t",
        "sub{,.rn,.rz,.rm,.rp}.f64 t, t, t",
        "mul{,.rn,.rz,.rm,.rp}{,.ftz}{,.sat}.f32 t, t, t",
        "mul{,.rn,.rz,.rm,.rp}.f64 t, t, t",
        "fma.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32 t, t, t, t",
        "fma.{rn,rz,rm,rp}.f64 t, t, t, t",
        "mad.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32 t, t, t, t",
        "mad.{rn,rz,rm,rp}.f64 t, t, t, t",
        "div.{approx,full}{,.ftz}.f32 t, t, t",
        "div.{rn,rz,rm,rp}{,.ftz}.f32 t, t, t",
        "div.{rn,rz,rm,rp}.f64 t, t, t",
        "abs{,.ftz}.f32 t, t",
        "abs.f64 t, t",
        "neg{,.ftz}.f32 t, t",
        "neg.f64 t, t",
        "min{,.ftz}{,.NaN}{,.xorsign.abs}.f32 t, t, t",
        "max{,.ftz}{,.NaN}{,.xorsign.abs}.f32 t, t, t",
        "min.f64 t, t, t",
        "max.f64 t, t, t",
        "rcp.approx{,.ftz}.f32 t, t",
        "rcp.{rn,rz,rm,rp}{,.ftz}.f32 t, t",
        "rcp.{rn,rz,rm,rp}.f64 t, t",
        "rcp.approx.ftz.f64 t, t",
        "sqrt.approx{,.ftz}.f32 t, t",
        "sqrt.{rn,rz,rm,rp}{,.ftz}.f32 t, t",
        "sqrt.{rn,rz,rm,rp}.f64 t, t",
        "rsqrt.approx{,.ftz}.f32 t, t",
        "rsqrt.approx.f64 t, t",
        "rsqrt.approx.ftz.f64 t, t",
        "sin.approx{,.ftz}.f32 t, t",
        "cos.approx{,.ftz}.f32 t, t",
        "lg2.approx{,.ftz}.f32 t, t",
        "ex2.approx{,.ftz}.f32 t, t",
        "tanh.approx.f32 t, t"}},
      {"Half precision floating point",
       {"add{,.rn}{,.ftz}{,.sat}.{f16,f16x2} t, t, t",
        "add{,.rn}.{bf16,bf16x2} t, t, t",
        "sub{,.rn}{,.ftz}{,.sat}.{f16,f16x2} t, t, t",
        "sub{,.rn}.{bf16,bf16x2} t, t, t",
        "mul{,.rn}{,.ftz}{,.sat}.{f16,f16x2} t, t, t",
        "mul{,.rn}.{bf16,bf16x2} t, t, t",
        "fma.rn{,.ftz}{,.sat,.relu}.{f16,f16x2} t, t, t, t",
        "fma.rn{,.relu}.{bf16,bf16x2} t, t, t, t",
        "fma.rn.oob{,.relu}.{f16,f16x2,bf16,bf16x2} t, t, t, t",
        "neg{,.ftz}.{f16,f16x2} t, t",
        "neg.{bf16,bf16x2} t, t",
        "abs{,.ftz}.{f16,f16x2} t, t",
        "abs.{bf16,bf16x2} t, t",
        "min{,.ftz}{,.NaN}{,.xorsign.abs}.{f16,f16x2} t, t, t",
        "min{,.NaN}{,.xorsign.abs}.{bf16,bf16x2} t, t, t",
        "max{,.ftz}{,.NaN}{,.xorsign.abs}.{f16,f16x2} t, t, t",
        "max{,.NaN}{,.xorsign.abs}.{bf16,bf16x2} t, t, t",
        "tanh.approx.{f16,f16x2,bf16,bf16x2} t, t",
        "ex2.approx.{f16,f16x2} t, t",
        "ex2.approx.ftz.{bf16,bf16x2} t, t"}},
      {"Comparison and selection",
       {"set.{eq,ne}{,.and,.or,.xor}.{u32,s32,f32}.{b16,b32,b64} r, u, u@",
        "set.{eq,ne,lt,le,gt,ge}{,.and,.or,.xor}.{u32,s32,f32}.{u16,u32,u64,s16,s32,s64} r, u, u@",
        "set.{lo,ls,hi,hs}.{u32,s32,f32}.{u16,u32,u64} r, u, u",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.{u32,s32,f32}.f32 r, u, u@",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.{u32,s32,f32}.f64 r, u, u@",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.{f16,u16,s16,u32,s32}.f16 t, u, u@",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.{bf16,u16,s16,u32,s32}.bf16 t, u, u@",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.f16x2.f16x2 t, u, u@",
        "set.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.bf16x2.bf16x2 t, u, u@",
        "set.{eq,ne,lt,le,gt,ge}.{u32,s32}.{f16x2,bf16x2} r, u, u",
        "setp.{eq,ne}{,.and,.or,.xor}.{b16,b32,b64} p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge}{,.and,.or,.xor}.{u16,u32,u64,s16,s32,s64} p, t, t@",
        "setp.{lo,ls,hi,hs}{,.and,.or,.xor}.{u16,u32,u64} p|p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.f32 p|p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.f64 p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.f16 p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.bf16 p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}{,.ftz}.f16x2 p|p, t, t@",
        "setp.{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}{,.and,.or,.xor}.bf16x2 p|p, t, t@",
        "selp.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64} t, t, t, p",
        "slct.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64}.s32 t, t, t, r",
        "slct{,.ftz}.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64}.f32 t, t, t, r"}},
      {"Logic and shift",
       {"{and,or,xor}.{pred,b16,b32,b64} t, t, t",
        "not.{pred,b16,b32,b64} t, t",
        "cnot.{b16,b32,b64} t, t",
        "lop3.b32 r, r, r, r, 0x96",
        "lop3.{and,or}.b32 r|p, r, r, r, 0x96, p",
        "lop3.{and,or}.b32 _|p, r, r, r, 0x96, p",
        "shf.{l,r}.{wrap,clamp}.b32 r, r, r, r",
        "shl.{b16,b32,b64} t, t, r",
        "shr.{b16,b32,b64,u16,u32,u64,s16,s32,s64} t, t, r"}},
      {"Moving data",
       {"mov.{pred,b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64} t, t",
        "mov.b32 r, {h, h}",
        "mov.b64 d, {r, r}",
        "mov.b64 d, {h, h, h, h}",
        "mov.b128 q, {d, d}",
        "mov.b32 {h, h}, r",
        "mov.b64 {r, r}, d",
        "mov.b64 {h, h, h, h}, d",
        "mov.b128 {d, d}, q",
        "mov.b16 h, {x, x}",
        "mov.b32 r, {x, x, x, x}",
        "mov.b16 {x, x}, h",
        "mov.b32 {x, x, x, x}, r",
        "mov.{u32,u64} t, function",
        "mov.u64 d, variable",
        "prmt.b32{,.f4e,.b4e,.rc8,.ecl,.ecr,.rc16} r, r, r, r",
        "ld{,.weak}{,.global,.shared,.shared::cta,.local}.{b8,b16,b32,b64,u8,u16,u32,u64,s8,s16,s32,s64,f32,f64,b128} t, [d]",
        "ld.volatile{,.global,.shared}.{b8,b16,b32,b64,f32,f64} t, [d]",
        "ld{,.global}.{v2,v4}.{b8,b16,b32,u8,u16,u32,s8,s16,s32,f32} V, [d]",
        "ld{,.global}.v2.{b64,u64,s64,f64} V, [d]",
        "ld{,.global}{.ca,.cg,.cs,.lu,.cv}.b32 t, [d]",
        "ld{,.global}{.L1::evict_normal,.L1::evict_unchanged,.L1::evict_first,.L1::evict_last,.L1::no_allocate}.b32 t, [d]",
        "ld{,.global}{.L2::64B,.L2::128B,.L2::256B}.b32 t, [d]",
        "ld{,.global}.L2::cache_hint.b32 t, [d], d",
        "ld.{relaxed,acquire}.{cta,cluster,gpu,sys}{,.global,.shared}.{b8,b16,b32,b64,b128} t, [d]",
        "ld.mmio.relaxed.sys{,.global}.b32 t, [d]",
        "ld.const.b32 t, [d]",
        "ld.param.b32 t, [argument]",
        "ld.global{.ca,.cg,.cs}.nc.b32 t, [d]",
        "ld.global.nc{,.L1::no_allocate,.L1::evict_last}{,.L2::256B}.{b8,b16,b32,b64,f32,f64,b128} t, [d]",
        "ld.global.nc.{v2,v4}.{b8,b16,b32,f32} V, [d]",
        "ldu{,.global}.{b8,b16,b32,b64,f32,f64,b128} t, [d]",
        "ldu.global.{v2,v4}.{b32,f32} V, [d]",
        "st{,.weak}{,.global,.shared,.shared::cta,.local}.{b8,b16,b32,b64,u8,u16,u32,u64,s8,s16,s32,s64,f32,f64,b128} [d], t",
        "st.volatile{,.global,.shared}.{b8,b16,b32,b64,f32,f64} [d], t",
        "st{,.global}.{v2,v4}.{b8,b16,b32,u8,u16,u32,s8,s16,s32,f32} [d], V",
        "st{,.global}.v2.{b64,u64,s64,f64} [d], V",
        "st{,.global}{.wb,.cg,.cs,.wt}.b32 [d], t",
        "st{,.global}{.L1::evict_normal,.L1::evict_unchanged,.L1::evict_first,.L1::evict_last,.L1::no_allocate}.b32 [d], t",
        "st{,.global}.L2::cache_hint.b32 [d], t, d",
        "st.{relaxed,release}.{cta,cluster,gpu,sys}{,.global,.shared}.{b8,b16,b32,b64,b128} [d], t",
        "st.mmio.relaxed.sys{,.global}.b32 [d], t",
        "prefetch{,.global,.local}.{L1,L2} [d]",
        "prefetch.global.L2::{evict_last,evict_normal} [d]",
        "prefetchu.L1 [d]",
        "prefetch{,.const,.param}.tensormap [d]",
        "applypriority{,.global}.L2::evict_normal [d], 128",
        "discard{,.global}.L2 [d], 128",
        "createpolicy.fractional.L2::{evict_last,evict_normal,evict_first,evict_unchanged}{,.L2::evict_first,.L2::evict_unchanged}.b64 d, 0f3F000000",
        "createpolicy.range{,.global}.L2::{evict_last,evict_normal,evict_first,evict_unchanged}{,.L2::evict_first,.L2::evict_unchanged}.b64 d, [d], r, r",
        "createpolicy.cvt.L2.b64 d, d",
        "isspacep.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry} p, d",
        "cvta.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry}.u64 d, d",
        "cvta.to.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry}.u64 d, d",
        "mapa{,.shared::cluster}.{u32,u64} t, t, r",
        "getctarank{,.shared::cluster}.{u32,u64} r, t"}},
      {"Conversion",
       {"cvt.{u8,u16,u32,u64,s8,s16,s32,s64}.{u8,u16,u32,u64,s8,s16,s32,s64} t, u",
        "cvt.sat.{u8,s8}.{u16,u32,u64,s16,s32,s64} t, u",
        "cvt.sat.{u16,s16}.{u32,u64,s32,s64} t, u",
        "cvt.sat.{u32,s32}.{u64,s64} t, u",
        "cvt.sat.{u8.s8,s8.u8,u16.s16,s16.u16,u32.s32,s32.u32,u64.s64,s64.u64} t, u",
        "cvt.{rn,rz,rm,rp}.{f16,f32,f64}.{u8,u16,u32,u64,s8,s16,s32,s64} t, u",
        "cvt.{rn,rz,rm,rp}.bf16.{u16,u32,u64,s16,s32,s64} t, u",
        "cvt.{rni,rzi,rmi,rpi}{,.sat}.{u8,u16,u32,u64,s8,s16,s32,s64}.{f16,f32,f64} t, u",
        "cvt.{rni,rzi,rmi,rpi}.ftz{,.sat}.{u8,u16,u32,u64,s8,s16,s32,s64}.f32 t, u",
        "cvt.{rni,rzi,rmi,rpi}.{u16,u32,u64,s16,s32,s64}.bf16 t, u",
        "cvt{,.ftz}{,.sat}.f32.f16 t, u",
        "cvt.f32.bf16 t, u",
        "cvt{,.sat}.f64.{f16,f32} t, u",
        "cvt.f64.bf16 t, u",
        "cvt.{rn,rz,rm,rp}{,.ftz}{,.sat}.f32.f64 t, u",
        "cvt.{rn,rz,rm,rp}{,.ftz}{,.sat}.f16.f32 t, u",
        "cvt.{rn,rz,rm,rp}{,.sat}.f16.f64 t, u",
        "cvt.{rn,rz,rm,rp}.bf16.{f16,f32,f64} t, u",
        "cvt.{rn,rz,rm,rp}.f16.bf16 t, u",
        "cvt.{rn,rz}.relu.{f16,bf16}.f32 t, u",
        "cvt.{rn,rz}{,.relu}.satfinite.{f16,bf16}.f32 t, u",
        "cvt.{rn,rz}{,.relu}{,.satfinite}.{f16x2,bf16x2}.f32 r, r, r",
        "cvt.{rni,rzi,rmi,rpi}{,.sat}.{f16.f16,f32.f32,f64.f64} t, u",
        "cvt.{rni,rzi,rmi,rpi}.bf16.bf16 t, u",
        "cvt{,.sat}.{f16.f16,f32.f32,f64.f64} t, u",
        "cvt.rna{,.satfinite}.tf32.f32 r, r",
        "cvt.{rn,rz}{,.relu}.tf32.f32 r, r",
        "cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f32 h, r, r",
        "cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f16x2 h, r",
        "cvt.rn{,.relu}.f16x2.{e4m3x2,e5m2x2} r, h",
        "cvt.pack.sat.{u16,s16}.s32 r, r, r",
        "cvt.pack.sat.{u2,s2,u4,s4,u8,s8}.s32.b32 r, r, r, r"}},
      {"Exchange inside a warp",
       {"shfl.sync.{up,down,bfly,idx}.b32 r|p, r, r, r, r",
        "vote.sync.{all,any,uni}.pred p, p, r",
        "vote.sync.ballot.b32 r, p, r",
        "match.sync.any.{b32,b64} r, t, r",
        "match.sync.all.{b32,b64} r|p, t, r",
        "activemask.b32 r",
        "redux.sync.{add,min,max}.{u32,s32} r, r, r",
        "redux.sync.{and,or,xor}.b32 r, r, r",
        "elect.sync r|p, r",
        "bar.warp.sync r"}},
      {"Atomics and reductions",
       {"atom{,.relaxed,.acquire,.release,.acq_rel}{,.cta,.cluster,.gpu,.sys}{,.global,.shared}.add.{u32,s32,u64,f32,f64} t, [d], t",
        "atom{,.global,.shared}.{min,max}.{u32,s32,u64,s64} t, [d], t",
        "atom{,.global,.shared}.{and,or,xor,exch}.{b32,b64} t, [d], t",
        "atom{,.global,.shared}.{inc,dec}.u32 t, [d], t",
        "atom{,.global,.shared}.cas.{b16,b32,b64,b128} t, [d], t, t",
        "atom{,.global,.shared}.exch.b128 t, [d], t",
        "atom{,.global,.shared}.add.noftz.{f16,f16x2,bf16,bf16x2} t, [d], t",
        "atom{,.gpu}.global.add.{v2,v4}.f32 V, [d], V",
        "atom{,.gpu}.global.{add,min,max}.noftz.{v2,v4,v8}.{f16,bf16} V, [d], V",
        "atom{,.gpu}.global.{add,min,max}.noftz.{v2,v4}.{f16x2,bf16x2} V, [d], V",
        "atom.global.add.L2::cache_hint.u32 t, [d], t, d",
        "red{,.relaxed,.release}{,.cta,.cluster,.gpu,.sys}{,.global,.shared}.add.{u32,s32,u64,f32,f64} [d], t",
        "red{,.global,.shared}.{min,max}.{u32,s32,u64,s64} [d], t",
        "red{,.global,.shared}.{and,or,xor}.{b32,b64} [d], t",
        "red{,.global,.shared}.{inc,dec}.u32 [d], t",
        "red{,.global,.shared}.add.noftz.{f16,f16x2,bf16,bf16x2} [d], t",
        "red{,.gpu}.global.add.{v2,v4}.f32 [d], V",
        "red{,.gpu}.global.{add,min,max}.noftz.{v2,v4,v8}.{f16,bf16} [d], V",
        "red{,.gpu}.global.{add,min,max}.noftz.{v2,v4}.{f16x2,bf16x2} [d], V",
        "red.global.add.L2::cache_hint.u32 [d], t, d",
        "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.{add.u32,add.s32,add.u64,inc.u32,dec.u32,min.u32,max.s32,and.b32,or.b32,xor.b32} [r], u, [r]"}},
      {"Barriers and fences",
       {"{bar,barrier.cta}.sync r",
        "{bar,barrier.cta}.sync r, 64",
        "{bar,barrier.cta}.arrive r, 64",
        "{bar,barrier.cta}.red.popc.u32 r, r, p",
        "{bar,barrier.cta}.red.{and,or}.pred p, r, p",
        "barrier.cta.sync.aligned r",
        "barrier.cluster.arrive{,.release,.relaxed}{,.aligned}",
        "barrier.cluster.wait{,.acquire}{,.aligned}",
        "membar.{cta,gl,sys}",
        "membar.proxy.alias",
        "fence{,.sc,.acq_rel}.{cta,cluster,gpu,sys}",
        "fence.mbarrier_init.release.cluster",
        "fence.proxy.{alias,async,async.global,async.shared::cta,async.shared::cluster}",
        "fence.proxy.tensormap::generic.release.{cta,cluster,gpu,sys}",
        "fence.proxy.tensormap::generic.acquire.{cta,cluster,gpu,sys} [d], 128",
        "mbarrier.init{,.shared}.b64 [d], r",
        "mbarrier.inval{,.shared}.b64 [d]",
        "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [d], r",
        "mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [r], r",
        "mbarrier.arrive{,.shared}.b64 d, [d]",
        "mbarrier.arrive.expect_tx{,.shared}.b64 d, [d], r",
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [r]",
        "mbarrier.arrive_drop{,.shared}.b64 d, [d]",
        "mbarrier.arrive.noComplete{,.shared}.b64 d, [d], r",
        "mbarrier.{test_wait,try_wait}{,.shared}.b64 p, [d], d",
        "mbarrier.{test_wait,try_wait}.parity{,.shared}.b64 p, [d], r",
        "mbarrier.pending_count.b64 r, d"}},
      {"Asynchronous copies",
       {"cp.async.{ca,cg}.shared.global [r], [d], 16",
        "cp.async.ca.shared.global [r], [d], 4, r",
        "cp.async.{commit_group,wait_all}",
        "cp.async.wait_group 1",
        "cp.async.mbarrier.arrive{,.noinc}{,.shared}.b64 [d]",
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r], [d], r, [r]",
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [r], [r], r, [r]",
        "cp.async.bulk.global.shared::cta.bulk_group [d], [r], r",
        "cp.async.bulk.prefetch.L2.global [d], r",
        "cp.async.bulk.{commit_group}",
        "cp.async.bulk.wait_group{,.read} 0",
        "cp.reduce.async.bulk.global.shared::cta.bulk_group.{add.u32,add.s32,add.u64,add.noftz.f16,add.noftz.bf16,add.f64} [d], [r], r",
        "cp.async.bulk.tensor.1d.shared::cluster.global{,.tile}.mbarrier::complete_tx::bytes [r], [d, {r}], [r]",
        "cp.async.bulk.tensor.2d.shared::cluster.global{,.tile}.mbarrier::complete_tx::bytes [r], [d, {r, r}], [r]",
        "cp.async.bulk.tensor.3d.shared::cluster.global{,.tile}.mbarrier::complete_tx::bytes [r], [d, {r, r, r}], [r]",
        "cp.async.bulk.tensor.4d.shared::cluster.global{,.tile}.mbarrier::complete_tx::bytes [r], [d, {r, r, r, r}], [r]",
        "cp.async.bulk.tensor.5d.shared::cluster.global{,.tile}.mbarrier::complete_tx::bytes [r], [d, {r, r, r, r, r}], [r]",
        "cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [r], [d, {r, r}], [r]",
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [r], [d, {r, r}], [r], h",
        "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [r], [d, {r, r, r}], [r], {h}",
        "cp.async.bulk.tensor.1d.global.shared::cta{,.tile}.bulk_group [d, {r}], [r]",
        "cp.async.bulk.tensor.2d.global.shared::cta{,.tile}.bulk_group [d, {r, r}], [r]",
        "cp.async.bulk.tensor.3d.global.shared::cta{,.tile}.bulk_group [d, {r, r, r}], [r]",
        "cp.async.bulk.tensor.4d.global.shared::cta{,.tile}.bulk_group [d, {r, r, r, r}], [r]",
        "cp.async.bulk.tensor.5d.global.shared::cta{,.tile}.bulk_group [d, {r, r, r, r, r}], [r]",
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.{add,min,max,inc,dec,and,or,xor}.tile.bulk_group [d, {r, r}], [r]",
        "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [d, {r, r}]",
        "st.async{,.weak}.shared::cluster.mbarrier::complete_tx::bytes.{b32,b64} [r], u, [r]",
        "tensormap.replace.tile.global_address.global.b1024.b64 [d], d",
        "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [d], [r], 128",
        "multimem.ld_reduce.global.add.{u32,f32} r, [d]",
        "multimem.st.global.{u32,f32} [d], r",
        "multimem.red.global.add.{u32,f32} [d], r"}},
      {"Matrices",
       {"ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}.shared.b16 L, [r]",
        "stmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}.shared.b16 [r], L",
        "movmatrix.sync.aligned.m8n8.trans.b16 r, r",
        "mma.sync.aligned.m8n8k4.{row,col}.{row,col}.f16.f16.f16.f16 {r, r, r, r}, {r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m8n8k4.{row,col}.{row,col}.f32.f16.f16.f32 {r, r, r, r, r, r, r, r}, {r, r}, {r, r}, {r, r, r, r, r, r, r, r}",
        "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {r, r}, {r, r}, {r}, {r, r}",
        "mma.sync.aligned.m16n8k8.row.col.f32.{f16.f16,bf16.bf16}.f32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {r, r}, {r, r, r, r}, {r, r}, {r, r}",
        "mma.sync.aligned.m16n8k16.row.col.f32.{f16.f16,bf16.bf16}.f32 {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k16.row.col.f16.{e4m3,e5m2}.{e4m3,e5m2}.f16 {r, r}, {r, r}, {r}, {r, r}",
        "mma.sync.aligned.m16n8k16.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k32.row.col.f16.{e4m3,e5m2}.{e4m3,e5m2}.f16 {r, r}, {r, r, r, r}, {r, r}, {r, r}",
        "mma.sync.aligned.m16n8k32.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32 {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m8n8k16.row.col{,.satfinite}.s32.{s8,u8}.{s8,u8}.s32 {r, r}, {r}, {r}, {r, r}",
        "mma.sync.aligned.m16n8k16.row.col{,.satfinite}.s32.{s8,u8}.{s8,u8}.s32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k32.row.col{,.satfinite}.s32.{s8,u8}.{s8,u8}.s32 {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m8n8k32.row.col{,.satfinite}.s32.{s4,u4}.{s4,u4}.s32 {r, r}, {r}, {r}, {r, r}",
        "mma.sync.aligned.m16n8k32.row.col{,.satfinite}.s32.{s4,u4}.{s4,u4}.s32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k64.row.col{,.satfinite}.s32.{s4,u4}.{s4,u4}.s32 {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.{and,xor}.popc {r, r}, {r}, {r}, {r, r}",
        "mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.{and,xor}.popc {r, r, r, r}, {r, r}, {r}, {r, r, r, r}",
        "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.{and,xor}.popc {r, r, r, r}, {r, r, r, r}, {r, r}, {r, r, r, r}",
        "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {d, d}, {d}, {d}, {d, d}",
        "mma.sync.aligned.m16n8k4.row.col.f64.f64.f64.f64 {d, d, d, d}, {d, d}, {d}, {d, d, d, d}",
        "mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {d, d, d, d}, {d, d, d, d}, {d, d}, {d, d, d, d}",
        "mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64 {d, d, d, d}, {d, d, d, d, d, d, d, d}, {d, d, d, d}, {d, d, d, d}",
        "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {r, r, r, r}, {r, r}, {r, r}, {r, r, r, r}, r, 0",
        "wmma.load.{a,b}.sync.aligned.{row,col}.{m16n16k16,m32n8k16,m8n32k16}{,.global,.shared}.f16 {r, r, r, r, r, r, r, r}, [d], r",
        "wmma.load.{a,b}.sync.aligned.{row,col}.m16n16k16{,.global,.shared}.bf16 {r, r, r, r}, [d], r",
        "wmma.load.{a,b}.sync.aligned.{row,col}.m16n16k8{,.global,.shared}.tf32 {r, r, r, r}, [d], r",
        "wmma.load.{a,b}.sync.aligned.{row,col}.m16n16k16{,.global,.shared}.{s8,u8} {r, r}, [d], r",
        "wmma.load.{a.sync.aligned.row,b.sync.aligned.col}.m8n8k32{,.global,.shared}.{s4,u4} {r}, [d], r",
        "wmma.load.{a.sync.aligned.row,b.sync.aligned.col}.m8n8k128{,.global,.shared}.b1 {r}, [d], r",
        "wmma.load.{a,b}.sync.aligned.{row,col}.m8n8k4{,.global,.shared}.f64 {d}, [d], r",
        "wmma.load.c.sync.aligned.{row,col}.{m16n16k16,m32n8k16,m8n32k16}{,.global,.shared}.{f32,s32} {r, r, r, r, r, r, r, r}, [d], r",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.{m16n16k16,m32n8k16,m8n32k16}.f32.f32 {r, r, r, r, r, r, r, r}, {r, r, r, r, r, r, r, r}, {r, r, r, r, r, r, r, r}, {r, r, r, r, r, r, r, r}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.{m16n16k16,m32n8k16,m8n32k16}.f16.f16 {r, r, r, r}, {r, r, r, r, r, r, r, r}, {r, r, r, r, r, r, r, r}, {r, r, r, r}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m16n16k16.f32.bf16.bf16.f32 {r, r, r, r, r, r, r, r}, {r, r, r, r}, {r, r, r, r}, {r, r, r, r, r, r, r, r}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m16n16k8.f32.tf32.tf32.f32 {r, r, r, r, r, r, r, r}, {r, r, r, r}, {r, r, r, r}, {r, r, r, r, r, r, r, r}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m16n16k16.s32.{s8.s8,u8.u8}.s32{,.satfinite} {r, r, r, r, r, r, r, r}, {r, r}, {r, r}, {r, r, r, r, r, r, r, r}",
        "wmma.mma.sync.aligned.row.col.m8n8k32.s32.{s4.s4,u4.u4}.s32{,.satfinite} {r, r}, {r}, {r}, {r, r}",
        "wmma.mma.{and,xor}.popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32 {r, r}, {r}, {r}, {r, r}",
        "wmma.mma.sync.aligned.{row,col}.{row,col}.m8n8k4.rn.f64.f64.f64.f64 {d, d}, {d}, {d}, {d, d}",
        "wmma.store.d.sync.aligned.{row,col}.{m16n16k16,m32n8k16,m8n32k16}{,.global,.shared}.{f32,s32} [d], {r, r, r, r, r, r, r, r}, r",
        "wgmma.fence.sync.aligned",
        "wgmma.commit_group.sync.aligned",
        "wgmma.wait_group.sync.aligned 0",
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.{f16.f16,bf16.bf16} {r, r, r, r}, d, d, p, 1, 1, 0, 0",
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.{f16.f16,bf16.bf16} {r, r, r, r, r, r, r, r}, d, d, p, 1, 1, 0, 0",
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.{f16.f16,bf16.bf16} {r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r, r}, d, d, p, 1, 1, 0, 0",
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.{f16.f16,bf16.bf16} {r, r, r, r}, {r, r, r, r}, d, p, 1, 1, 0",
        "wgmma.mma_async.sync.aligned.m64n8k16.f16.f16.f16 {r, r}, d, d, p, 1, 1, 0, 0",
        "wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 {r, r, r, r}, d, d, p, 1, 1",
        "wgmma.mma_async.sync.aligned.m64n8k32.f32.{e4m3,e5m2}.{e4m3,e5m2} {r, r, r, r}, d, d, p, 1, 1",
        "wgmma.mma_async.sync.aligned.m64n8k32.f16.{e4m3,e5m2}.{e4m3,e5m2} {r, r}, d, d, p, 1, 1",
        "wgmma.mma_async.sync.aligned.m64n8k32.s32.{s8,u8}.{s8,u8}{,.satfinite} {r, r, r, r}, d, d, p",
        "wgmma.mma_async.sync.aligned.m64n8k256.s32.b1.b1.and.popc {r, r, r, r}, d, d, p",
        "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 {r, r, r, r}, d, d, r, 0, p, 1, 1, 0, 0"}},
      {"Control",
       {"call (result), function, (value)",
        "call (result), d, (value), prototype",
        "brkpt",
        "trap",
        "exit",
        "ret",
        "nanosleep.u32 r",
        "pmevent 1",
        "pmevent.mask 3",
        "setmaxnreg.{inc,dec}.sync.aligned.u32 64",
        "griddepcontrol.{launch_dependents,wait}",
        "alloca.u64 d, d, 16",
        "stacksave.u64 d",
        "stackrestore.u64 d"}},
      {"Video",
       {"{vadd,vsub,vabsdiff,vmin,vmax}.{u32,s32}.{u32,s32}.{u32,s32}{,.sat} r, r, r",
        "{vshl,vshr}.{u32,s32}.{u32,s32}.u32.{clamp,wrap} r, r, r",
        "vmad.{u32,s32}.{u32,s32}.{u32,s32}{,.sat}{,.shr7,.shr15} r, r, r, r",
        "vset.{u32,s32}.{u32,s32}.{eq,ne,lt,le,gt,ge} r, r, r",
        "{vadd2,vsub2,vavrg2,vabsdiff2,vmin2,vmax2}.{u32,s32}.{u32,s32}.{u32,s32}{,.sat,.add} r, r, r, r",
        "{vadd4,vsub4,vavrg4,vabsdiff4,vmin4,vmax4}.{u32,s32}.{u32,s32}.{u32,s32}{,.sat,.add} r, r, r, r",
        "{vset2,vset4}.{u32,s32}.{u32,s32}.{eq,ne,lt,le,gt,ge}{,.add} r, r, r, r"}},
      {"Textures and surfaces",
       {"tex.2d.v4.f32.f32 {r, r, r, r}, [d, {r, r}]",
        "tld4.r.2d.v4.f32.f32 {r, r, r, r}, [d, {r, r}]",
        "txq.width.b32 r, [d]",
        "suld.b.1d.b32.trap r, [d, {r}]",
        "sust.b.1d.b32.trap [d, {r}], r",
        "sured.b.add.1d.u32.trap [d, {r}], r",
        "suq.width.b32 r, [d]",
        "istypep.texref p, d"}}};
  return all;
}

namespace detail {

inline void expand_head(std::string_view head, const std::string& before, std::vector<std::string>& out) {
  const std::size_t open = head.find('{'), close = head.find('}');
  if (open == std::string_view::npos || close == std::string_view::npos) {
    out.push_back(before + std::string(head));
    return;
  }
  const std::string_view choices = head.substr(open + 1, close - open - 1);
  for (std::size_t at = 0; at <= choices.size();) {
    const std::size_t stop = std::min(choices.find(',', at), choices.size());
    expand_head(head.substr(close + 1), before + std::string(head.substr(0, open)) + std::string(choices.substr(at, stop - at)), out);
    at = stop + 1;
  }
}

// A register of a width: %h1, %r1, ... numbered from 0 in each instruction.
[[nodiscard]] inline std::string form_register(std::uint8_t width, int& next) {
  const char* kind = width == 0 ? "%p" : width == 1 ? "%x" : width == 2 ? "%h" : width == 4 ? "%r" : width == 8 ? "%d" : "%q";
  return kind + std::to_string(next++ % 32);
}

[[nodiscard]] inline std::string form_operands(const std::string& head, std::string_view operands) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= head.size();) {
    const std::size_t stop = std::min(head.find('.', at), head.size());
    words.push_back(std::string_view(head).substr(at, stop - at));
    at = stop + 1;
  }
  type first = type::none, last = type::none;
  bool meets_predicate = false;
  int vector = 1;
  for (const auto& w : words) {
    if (const type t = w == "tf32" ? type::b32 : w == "e4m3x2" || w == "e5m2x2" ? type::b16 : type_named(w); t != type::none) {
      if (first == type::none) first = t;
      last = t;
    }
    meets_predicate |= &w != words.data() && (w == "and" || w == "or" || w == "xor");
    if (w == "v2" || w == "x2") vector = 2;
    if (w == "v4" || w == "x4") vector = 4;
    if (w == "v8") vector = 8;
  }
  const auto of_type = [](type t) { return std::max<std::uint8_t>(width_of(t), t == type::pred ? 0 : 2); };
  std::string out;
  int next = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const char c = operands[i];
    const auto word = [](char x) { return (x >= 'a' && x <= 'z') || (x >= '0' && x <= '9') || x == '_'; };
    const bool alone = (i == 0 || !word(operands[i - 1])) && (i + 1 == operands.size() || !word(operands[i + 1]));
    const auto list = [&](std::uint8_t width) {
      out += "{";
      for (int k = 0; k < vector; ++k) out += (k ? ", " : "") + form_register(width, next);
      out += "}";
    };
    if (c == '@') out += meets_predicate ? ", " + form_register(0, next) : "";
    else if (c == 'V') list(of_type(first));
    else if (c == 'L') list(4);
    else if (!alone) out += c;
    else if (c == 't') out += form_register(of_type(first), next);
    else if (c == 'u') out += form_register(of_type(last), next);
    else if (c == 'x') out += form_register(1, next);
    else if (c == 'h') out += form_register(2, next);
    else if (c == 'r') out += form_register(4, next);
    else if (c == 'd') out += form_register(8, next);
    else if (c == 'q') out += form_register(16, next);
    else if (c == 'p') out += form_register(0, next);
    else out += c;
  }
  return out;
}

}  // namespace detail

// Every instruction that a pattern stands for.
[[nodiscard]] inline std::vector<std::string> expanded(std::string_view pattern) {
  const std::size_t space = std::min(pattern.find(' '), pattern.size());
  std::vector<std::string> heads, out;
  detail::expand_head(pattern.substr(0, space), "", heads);
  for (const auto& head : heads) {
    const std::string operands = detail::form_operands(head, pattern.substr(space));
    out.push_back(head + operands + ";");
  }
  return out;
}

// A module with one entry for `lines`, each at a line of its own: the first at
// `first_form_line`.
inline constexpr int first_form_line = 5;
[[nodiscard]] inline std::string form_module(const std::vector<std::string>& lines) {
  std::string out =
      ".version 9.0\n.target sm_90a\n.address_size 64\n.global .b32 variable; .func (.param .b32 back) function(.param .b32 in) { ret; }\n"
      ".visible .entry probe(.param .b32 argument) { .reg .b8 %x<32>; .reg .b16 %h<32>; .reg .b32 %r<32>; .reg .b64 %d<32>; .reg .b128 %q<32>; "
      ".reg .pred %p<32>; .param .b32 value, result; prototype: .callprototype (.param .b32 _) _ (.param .b32 _); ";
  for (const auto& line : lines) out += line + "\n";
  return out + "ret; }\n";
}

struct form_told {
  std::string text;     // the instruction
  std::string refused;  // why the machine does not run it; "" when it does
};

// What the decoder says of each form of a pattern.
[[nodiscard]] inline result<std::vector<form_told>> judge_forms(std::string_view pattern) {
  std::vector<form_told> out;
  const auto lines = expanded(pattern);
  const auto read = parse(form_module(lines));
  if (!read) return read.error();
  const auto made = decoder(read.value()).kernel("probe");
  if (!made) return made.error();
  for (const auto& line : lines) out.push_back({line, ""});
  for (const auto& [index, text] : made.value().complaints) {
    const int at = made.value().origins[made.value().code[index].source].ptx_line - first_form_line;
    if (at >= 0 && at < static_cast<int>(out.size())) out[static_cast<std::size_t>(at)].refused = text;
  }
  return out;
}

namespace detail {

// What is before the first '.' outside of braces, and what follows it.
[[nodiscard]] inline std::pair<std::string_view, std::string_view> opcode_and_rest(std::string_view head) {
  int depth = 0;
  for (std::size_t i = 0; i < head.size(); ++i) {
    depth += head[i] == '{' ? 1 : head[i] == '}' ? -1 : 0;
    const bool optional = head[i] == '{' && head.substr(i + 1).starts_with(',');
    if ((head[i] == '.' && depth == 0) || optional) return {head.substr(0, i), head.substr(i)};
  }
  return {head, {}};
}

// "`a`, `b`, ...: reason" for each reason; "all: reason" when there is one and
// nothing is supported.
[[nodiscard]] inline std::string refusals(const std::vector<form_told>& told) {
  std::vector<std::pair<std::string, std::vector<std::string>>> by_reason;
  for (const auto& one : told) {
    if (one.refused.empty()) continue;
    // "line: not supported by the PTX machine: OPCODE (PTX line N: REASON)"
    const std::size_t at = one.refused.rfind(": ");
    std::string why = at == std::string::npos ? one.refused : one.refused.substr(at + 2);
    if (why.ends_with(")")) why.pop_back();
    auto to = std::find_if(by_reason.begin(), by_reason.end(), [&](const auto& each) { return each.first == why; });
    if (to == by_reason.end()) to = by_reason.insert(to, {why, {}});
    to->second.push_back(one.text.substr(0, one.text.find_first_of(" ;")));
  }
  constexpr std::size_t most = 4;
  std::string out;
  for (const auto& [why, which] : by_reason) {
    if (!out.empty()) out += "; ";
    if (which.size() == told.size()) out += "all";
    else
      for (std::size_t i = 0; i < std::min(which.size(), most); ++i) out += (i ? ", `" : "`") + which[i] + "`";
    if (which.size() < told.size() && which.size() > most) out += ", ...";
    out += ": " + why;
  }
  return out;
}

}  // namespace detail

// Every instruction of sm_90a and which forms the machine does not run, as the
// Markdown that HACKING.md holds: a table for each group, a row for each opcode.
[[nodiscard]] inline result<std::string> form_table() {
  struct line {
    std::string_view opcode;
    std::string forms;
    std::vector<form_told> told;
  };
  std::string out;
  for (const auto& group : forms()) {
    std::vector<line> rows;
    for (const auto pattern : group.patterns) {
      const auto [opcode, rest] = detail::opcode_and_rest(pattern.substr(0, pattern.find(' ')));
      auto told = judge_forms(pattern);
      if (!told) return told.error();
      auto to = std::find_if(rows.begin(), rows.end(), [&, name = opcode](const line& each) { return each.opcode == name; });
      if (to == rows.end()) to = rows.insert(to, {opcode, "", {}});
      // A form is told once, however many kinds of operands it has.
      const std::string form = rest.empty() ? "" : "`" + std::string(rest) + "`";
      if (to->forms.find(form) == std::string::npos) to->forms += (to->forms.empty() ? "" : " ") + form;
      for (auto& each : told.value()) to->told.push_back(std::move(each));
    }
    out += "\n**" + std::string(group.title) + "**\n\n| Instruction | Forms | Not supported |\n| --- | --- | --- |\n";
    for (const line& each : rows) {
      const std::string refused = detail::refusals(each.told);
      out += "| `" + std::string(each.opcode) + "` |" + (each.forms.empty() ? "" : " ") + each.forms + " |" + (refused.empty() ? "" : " ") + refused + " |\n";
    }
  }
  return out;
}

}  // namespace skillbench::ptx
