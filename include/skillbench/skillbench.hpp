#pragma once
// skillbench.hpp: all that a program needs to judge outputs.
//
// Layer   7. grader.hpp judges strings one by one, campaign.hpp many samples at
//         a time; evaluate.hpp is one judgement, samples.hpp gathers,
//         device/remote.hpp is the device to judge with.

#include <skillbench/campaign.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/embedded.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/families.hpp>
#include <skillbench/find_worker.hpp>
#include <skillbench/grader.hpp>
#include <skillbench/json_family.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/store.hpp>
#include <skillbench/version.hpp>
