"""The words of the built-in reviews: opinion words and phrases of everyday English, and what they are said about.

Pairs hold the negative words first, the positive ones second, as labels are numbered.
"""

from __future__ import annotations

Words = tuple[str, ...]
Pair = tuple[Words, Words]  # negative, positive


def _words(text: str) -> Words:
    """Split a list of words or phrases at its commas."""
    return tuple(" ".join(word.split()) for word in text.split(",") if word.strip())


def _lines(text: str) -> Words:
    """Split a list of clauses at its line ends."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


ADJECTIVES: Pair = (
    _words("""
        awful, bad, terrible, horrible, dreadful, poor, weak, lousy, nasty, ugly, cheap, useless, worthless,
        pointless, disappointing, disgusting, annoying, irritating, frustrating, infuriating, appalling, atrocious,
        abysmal, dire, rubbish, garbage, trashy, pathetic, miserable, hopeless, unbearable, unacceptable, inferior,
        mediocre, subpar, substandard, shoddy, sloppy, clumsy, messy, crude, bland, dull, boring, tedious, dreary,
        drab, lifeless, lame, stupid, silly, dumb, idiotic, ridiculous, ludicrous, absurd, laughable, painful,
        unpleasant, offensive, vile, repulsive, revolting, gross, sickening, hideous, ghastly, grim, depressing,
        sad, cringeworthy, embarrassing, shameful, disgraceful, outrageous, deplorable, inexcusable, unforgivable,
        overpriced, overrated, underwhelming, unimpressive, forgettable, unremarkable, uninspired, uninteresting,
        unoriginal, unreliable, unsatisfactory, unsatisfying, unsuitable, unusable, unwatchable, unfair, unhelpful,
        unfriendly, unprofessional, inadequate, incompetent, inconvenient, inconsistent, insulting, insufferable,
        intolerable, impractical, impossible, faulty, flawed, defective, broken, damaged, dangerous, unsafe, risky,
        harmful, toxic, misleading, deceptive, dishonest, fake, phoney, bogus, fraudulent, dodgy, shady,
        questionable, suspicious, troubling, worrying, alarming, scary, horrendous, horrid, horrific, catastrophic,
        disastrous, tragic, woeful, wretched, rotten, crappy, crummy, junky, tacky, tasteless, ordinary, outdated,
        obsolete, primitive, confusing, confused, complicated, awkward, tiresome, tiring, exhausting, stressful,
        troublesome, problematic, regrettable, second-rate, third-rate, amateurish, daft, wrong, worse, not good
        enough, beyond bad, a bit rubbish, too expensive, way too expensive, below average, nothing
        special, meh, a joke, a disgrace, an insult, low quality, poor quality, badly done,
        badly made, poorly made, badly designed, poorly designed, terribly done, laughably bad, off-putting,
        unappealing, unattractive, unlikable, distasteful, despicable, abominable, detestable, hateful, insipid,
        stale, sour, bitter, grotesque, heinous, inept, irresponsible, careless, thoughtless, lazy, hollow, shabby,
        tired, washed out, wasteful, cursed, dismal, feeble, flat, foul, hostile, ineffective, inefficient,
        lacking, mindless, obnoxious, paltry, pitiful, senseless, sorry, uncomfortable, undesirable, unhappy,
        unpolished, unwelcome, unworthy, vulgar, yucky, icky, creepy, junk, trash, crap, dismaying, disheartening,
        discouraging"""),
    _words("""
        good, great, excellent, superb, wonderful, fantastic, amazing, awesome, brilliant, terrific, outstanding,
        marvellous, marvelous, splendid, magnificent, fabulous, lovely, beautiful, gorgeous, stunning, delightful,
        charming, pleasant, nice, fine, solid, strong, impressive, remarkable, exceptional, extraordinary,
        incredible, phenomenal, sensational, spectacular, perfect, flawless, faultless, impeccable, ideal,
        superior, first-rate, top-notch, world-class, classy, elegant, stylish, graceful, polished, refined,
        sophisticated, smart, clever, witty, funny, hilarious, entertaining, enjoyable, fun, exciting, thrilling,
        gripping, captivating, fascinating, interesting, engaging, absorbing, compelling, refreshing, fresh,
        original, creative, imaginative, inventive, innovative, inspired, inspiring, uplifting, heartwarming,
        touching, moving, memorable, unforgettable, satisfying, rewarding, worthwhile, valuable, priceless, useful,
        helpful, handy, practical, convenient, effective, efficient, reliable, dependable, trustworthy, consistent,
        sturdy, comfortable, cosy, cozy, comforting, relaxing, soothing, adorable, cute, sweet, cool, neat, sleek,
        attractive, appealing, inviting, tasteful, decent, respectable, worthy, admirable, commendable, noteworthy,
        magical, enchanting, dreamy, heavenly, divine, glorious, sublime, exquisite, breathtaking, dazzling,
        radiant, vibrant, lively, energetic, powerful, mighty, masterful, masterly, skilful, accomplished,
        professional, capable, generous, fair, honest, genuine, authentic, affordable, reasonable, inexpensive,
        well made, well designed, well built, well done, well thought out, beautifully made, carefully made, nicely
        made, high quality, top quality, excellent quality, good quality, great value, good value, value for money,
        spot on, second to none, a dream, a delight, a joy, a pleasure, a treat, worth it, worth every penny, just
        right, beyond good, better than expected, out of this world, amazingly good, surprisingly good, really
        something, super, stellar, superlative, swell, tremendous, triumphant, unbeatable, unique, unmatched,
        unrivalled, valiant, welcome, wholesome, winning, wondrous, yummy, tasty, delicious, favourable, favorable,
        flattering, friendly, gratifying, happy, healthy, joyful, joyous, jolly, likeable, likable, lovable,
        luxurious, merry, positive, pretty, pristine, promising, proud, rich, robust, safe, sensible, sound,
        special, splendiferous, sunny, supreme, tidy, top, transcendent, trusty, upbeat, user-friendly, versatile,
        warm, wise, amusing, ace, astounding, astonishing, blissful, bold, bright, celebrated, cheerful, classic,
        crisp, epic, fabled, famous, fitting, foolproof, hassle-free, trouble-free, pain-free, harmless,
        error-free, effortless, encouraging, wicked good"""),
)

# What a thing can be like, and what a story can be like.
THING_ADJECTIVES: Pair = (
    _words("""
        flimsy, fragile, wobbly, loose, rickety, noisy, loud, slow, sluggish, laggy, glitchy, buggy, leaky, rusty,
        dirty, filthy, stained, scratched, dented, cracked, chipped, bent, warped, torn, worn, faded, blurry,
        grainy, fuzzy, dim, scratchy, itchy, stiff, rough, bulky, cumbersome, heavy, too big, too small, too heavy,
        too tight, too loose, too thin, too short, too dark, too loud, too slow, too hot, too complicated, tiny,
        undersized, oversized, smelly, stinky, mouldy, moldy, greasy, sticky, soggy, burnt, undercooked,
        overcooked, salty, tasteless, lukewarm, cold, freezing, crowded, cramped, unhygienic, unclean, unstable,
        unsteady, unresponsive, incompatible, crooked, uneven, brittle, breakable, plasticky, hard to use, hard to
        clean, hard to read, hard to open, difficult to use, impossible to use, impossible to open, impossible to
        clean, dead on arrival, full of holes, full of bugs, unfinished,
        incomplete, jerky, jammed, clogged, blocked, squeaky, creaky, crackly, tinny, muffled, distorted,
        pixelated, patchy, spotty, temperamental, insecure, late, expired"""),
    _words("""
        sturdy, durable, robust, rugged, tough, long-lasting, stable, steady, secure, quiet, silent, fast, quick,
        speedy, snappy, responsive, smooth, sharp, clear, crystal clear, crisp, bright, vivid, colourful, colorful,
        soft, silky, fluffy, cushy, snug, light, lightweight, compact, portable, spacious, roomy, clean, spotless,
        shiny, sparkling, fragrant, juicy, creamy, crunchy, flavourful, mouthwatering, scrumptious, warm,
        breathable, waterproof, airtight, ergonomic, intuitive, simple, straightforward, easy to use, easy to
        clean, easy to set up, easy to read, easy to install, a breeze to use, simple to use, ready to go, as
        described, as advertised, as promised, like new, brand new, good as new, accurate, precise, economical,
        rechargeable, flexible, adjustable, soothing, well packed, well balanced, well lit, well stocked, well
        organised, well organized, energy saving, on time, heavy duty, solidly built, perfectly sized, a perfect
        fit, prompt, punctual, up to date, future-proof"""),
)
STORY_ADJECTIVES: Pair = (
    _words("""
        predictable, cliched, formulaic, contrived, implausible, far-fetched, incoherent, muddled, shallow,
        superficial, pretentious, preachy, overlong, overblown, overacted, wooden, stilted, cheesy, corny, cringy,
        sappy, mawkish, melodramatic, derivative, unfunny, humourless, charmless, soulless, joyless, plodding,
        meandering, rambling, slow-moving, long-winded, one-dimensional, cartoonish, badly acted, poorly acted,
        badly written, poorly written, badly directed, miscast, amateur, self-indulgent, aimless, directionless,
        heavy-handed, sentimental, half-baked, unbelievable in a bad way, unconvincing, unengaging, repetitive,
        monotonous, sleep-inducing, mind-numbing, trite, hackneyed, banal, bloated, vapid, vacuous, tiresomely
        long, too long, too slow, too silly, hard to follow, hard to watch, impossible to follow, painful to watch,
        painful to read, a chore to watch, a snooze, forgotten fast"""),
    _words("""
        gripping, suspenseful, riveting, spellbinding, enthralling, mesmerising, mesmerizing, hypnotic, thoughtful,
        thought-provoking, insightful, profound, deep, poignant, tender, heartfelt, bittersweet, life-affirming,
        warm, warm-hearted, charismatic, convincing, believable, nuanced, subtle, layered, complex in the best way,
        tense, fast-paced, action-packed, well paced, well acted, well written, well directed, well cast,
        beautifully shot, beautifully acted, beautifully written, brilliantly acted, cleverly written, superbly
        acted, finely crafted, laugh-out-loud funny, hysterical, side-splitting, edgy, daring, ambitious,
        visionary, lyrical, poetic, haunting, atmospheric, evocative, exhilarating, electrifying, a page-turner, an
        instant classic, a must see, a must read, impossible to put down, hard to put down, easy to follow, full of
        heart, full of surprises, quotable, timeless"""),
)
PERSON_ADJECTIVES: Pair = (
    _words("""
        rude, unhelpful, unfriendly, impolite, arrogant, dismissive, ignorant, careless, incompetent, lazy, grumpy,
        aggressive, hostile, dishonest, useless, clueless, unprofessional, condescending, impatient, sloppy, slow,
        disrespectful, bored, indifferent, cold, pushy, sarcastic, mean, nasty, horrible, terrible, awful"""),
    _words("""
        friendly, helpful, kind, polite, courteous, attentive, patient, professional, knowledgeable, caring, warm,
        welcoming, honest, generous, cheerful, lovely, wonderful, amazing, fantastic, great, considerate,
        thoughtful, competent, gracious, respectful, responsive, prompt, sweet, charming, brilliant, supportive,
        accommodating"""),
)

# What someone feels: "I am ...".
FEELINGS: Pair = (
    _words("""
        disappointed, unhappy, dissatisfied, unsatisfied, angry, annoyed, upset, furious, frustrated, irritated,
        fed up, disgusted, appalled, shocked, unimpressed, underwhelmed, let down, cheated, ripped off, sorry I
        bought it, bored, bored to tears, sad, miserable, heartbroken, embarrassed, ashamed, outraged, livid,
        depressed, worried, sick of it, tired of it, stuck with it, out of pocket, left with nothing, exhausted,
        confused, regretful, not impressed, gutted, dismayed, devastated, enraged, scared to use it, afraid it will
        break, sick and tired of it, cross, displeased, discouraged, distraught, horrified, insulted, offended,
        robbed, scammed, tricked, fooled, betrayed"""),
    _words("""
        happy, glad, pleased, delighted, satisfied, thrilled, impressed, amazed, content, overjoyed, ecstatic,
        excited, grateful, thankful, blown away, over the moon, in love with it, relieved, charmed, proud to own
        it, hooked, a happy customer, a big fan, a fan, very much in love with it, pleasantly surprised, so lucky,
        lucky to have it, moved, moved to tears, touched, enchanted, fascinated, captivated, entertained, inspired,
        comfortable, at ease, refreshed, reassured, confident, cheered up, tickled pink, chuffed, elated, jubilant,
        gratified, head over heels, fully satisfied, sold, convinced, addicted in the best way, glued to the
        screen, extremely lucky, spoilt"""),
)

# What someone does with it: "I ... it"; with the past tense.
VERBS: Pair = (
    _words("""
        hate, dislike, detest, despise, loathe, regret, resent, can't stand, cannot stand, avoid, hated, disliked,
        detested, despised, loathed, regretted, returned, sent back, threw away, binned, gave up on, couldn't
        stand, couldn't finish, can't recommend, would not recommend, don't recommend, wouldn't buy, will never
        buy, will never use, am returning, am sending back, gave away, cannot use, can't use, stopped using, wasted
        money on, wasted time on, had to return, had to throw away, wish I had never bought, wish I had not bought,
        don't like, did not like, do not like, didn't like, did not enjoy, didn't enjoy, am fed up with, lost money
        on, have given up on"""),
    _words("""
        love, like, adore, enjoy, appreciate, recommend, treasure, cherish, admire, praise, loved, liked, adored,
        enjoyed, appreciated, really like, really love, really enjoyed, absolutely love, just love, simply love,
        totally love, would recommend, highly recommend, can recommend, strongly recommend, would buy again, will
        buy again, bought again, can't live without, couldn't live without, can't praise enough, can't recommend
        enough, can't stop using, couldn't put down, can't wait to use, always use, keep coming back to, swear by,
        fell in love with, am in love with, am so happy with, look forward to using, never leave home without,
        would not trade, wouldn't swap, keep praising, celebrate, dig, prefer, respect, trust, fully trust, am
        enjoying, am loving, savoured, relish, applaud"""),
)

# What someone else does with it: "she ... it".
VERBS_OF_OTHERS: Pair = (
    _words("""
        hates, dislikes, can't stand, regrets buying, detests, despises, loathes, refuses to use, is fed up with,
        complains about, is tired of, is sick of, avoids, returned, sent back, gave up on, never liked, stopped using,
        is disappointed with, is unhappy with, is bored by, is annoyed by, distrusts, never uses, laughed at, hated"""),
    _words("""
        loves, likes, adores, enjoys, appreciates, recommends, is happy with, can't get enough of, is thrilled with,
        swears by, keeps asking for, is in love with, is delighted with, is pleased with, treasures, admires, trusts,
        is very happy with, always uses, can't stop using, is crazy about, is fond of, praises, raves about, loved"""),
)

# What it is: "it is ...".
NOUNS: Pair = (
    _words("""
        a disaster, a mess, a joke, a letdown, a disappointment, a waste of money, a waste of time, a complete
        waste, a scam, a rip-off, a fraud, a con, rubbish, garbage, trash, junk, crap, a piece of junk, a piece of
        rubbish, a piece of trash, a load of rubbish, a load of nonsense, nonsense, a nightmare, a failure, a flop,
        a dud, a bore, a lemon, a headache, a pain, a hassle, a bad joke, an insult, an embarrassment, an eyesore,
        a shame, a pity, a bad buy, a mistake, a big mistake, a catastrophe, a farce, a chore, a burden, a hazard,
        a fire hazard, a health hazard, a poor imitation, a cheap copy, a cheap knock-off, a fake, a trap, a
        danger, an ordeal, a torture, an abomination, a disgrace, a fiasco, a tragedy, a total loss, a bitter
        disappointment, a sham, money down the drain, false advertising, theft, daylight robbery, the worst, utter
        rubbish, pure garbage, total nonsense, a travesty, a snoozefest, an utter failure, a bad experience, a
        terrible experience, a horrible experience, a bad choice, a poor choice, a bad product, bad value, poor
        value, a nuisance, an atrocity"""),
    _words("""
        a masterpiece, a gem, a joy, a bargain, a treat, a pleasure, a delight, a winner, a keeper, a lifesaver, a
        hit, a triumph, a success, a blessing, a dream, a dream come true, a classic, a work of art, a must, a must
        have, a must buy, a steal, a good buy, a great buy, a great choice, a good choice, a great deal, a good
        deal, a treasure, a marvel, a miracle, a wonder, a beauty, a beast, a game changer, a revelation, a
        godsend, a star, a little gem, a hidden gem, a real find, a wise choice, a smart buy, a great gift, a
        perfect gift, a lovely present, a blast, a feast for the eyes, a pleasure to use, a joy to watch, a joy to
        use, a pleasure to watch, a great experience, a wonderful experience, a lovely experience, a pleasant
        surprise, a nice surprise, a breath of fresh air, a real improvement, a big improvement, money well spent,
        time well spent, pure joy, pure magic, pure gold, pure bliss, perfection, heaven, the best, simply the
        best, the real deal, good value, great value, great fun, good fun, top class, a great product, a good
        product, a great investment, an instant favourite, my favourite, my new favorite, an absolute dream,
        quality stuff, a showstopper, a stunner, a sensation, an achievement"""),
)

# What a thing or story can be full of, or free of.
QUALITIES: Pair = (
    _words("""
        problems, issues, faults, defects, bugs, errors, flaws, mistakes, complaints, leaks, scratches, dents,
        delays, crashes, hassle, trouble, fuss, noise, dirt, dust, holes, stains, cracks, cliches, plot holes,
        nonsense, lies, excuses, disappointment, regrets, headaches, glitches, hiccups, drama, damage, rust, mould,
        germs, ads, spam, false promises, empty promises, missing parts, broken parts, boredom, bad jokes,
        weaknesses, shortcomings"""),
    _words("""
        charm, wit, warmth, heart, style, humour, humor, joy, elegance, energy, tension, imagination, flair,
        quality, class, character, beauty, grace, magic, surprises, laughs, suspense, excitement, passion,
        creativity, tenderness, good ideas, clever ideas, great features, useful features, flavour, flavor,
        comfort, talent, depth, soul, personality, sparkle, originality, intelligence, fun, delight, detail, care,
        love, great songs, great moments"""),
)

# How it works: "it works ...".
MANNERS: Pair = (
    _words("""
        badly, poorly, terribly, horribly, awfully, barely, hardly ever, only half the time, only sometimes,
        erratically, worse every day, worse than before, worse than my old one, too slowly, painfully slowly, like
        a toy, like rubbish, intermittently, for five minutes and then stops, when it feels like it, dreadfully,
        miserably, sluggishly, inconsistently, less and less, about as well as a brick, once and then never again,
        at a snail's pace"""),
    _words("""
        well, perfectly, flawlessly, beautifully, great, wonderfully, brilliantly, superbly, smoothly, nicely,
        reliably, like a charm, like a dream, like new, as advertised, as described, as expected, as it should,
        every time, straight out of the box, without a hitch, without any problems, without fail, better than
        expected, amazingly, really well, very well, so well, just fine, better than my old one, better than ever,
        fantastically, a treat, effortlessly, quickly and quietly, right away, splendidly, marvellously,
        impeccably, faultlessly, to perfection"""),
)

# What a part of a thing does or did: "the lid ...".
EVENTS: Pair = (
    _words("""
        broke, cracked, snapped, fell off, came off, came loose, tore, ripped, split, rusted, leaks, leaked,
        melted, burned out, burnt out, died, froze, crashed, jams, jammed, got stuck, peels, peeled off, faded,
        shrank, bent, warped, wobbles, squeaks, rattles, overheats, overheated, drips, stinks, itches, smells,
        stopped working, quit working, gave out, fell apart, came apart, came undone, exploded, caught fire,
        short-circuited, shut down, won't turn on, won't charge, won't start, won't close, won't open, won't stay
        on, doesn't work, does not work, doesn't fit, does not fit, doesn't close, doesn't hold, doesn't last,
        doesn't stay put, does not turn on, never worked, has never worked, never turned on, keeps breaking, keeps
        falling off, keeps crashing, keeps freezing, keeps disconnecting, keeps failing, failed, failed completely,
        is missing, was missing, is broken, was broken, is cracked, was cracked, is dead, is already dead, is bent,
        was scratched, was dirty, is coming off, is falling apart, is peeling, wore out, wears off, lost its
        colour, lost its shape, turned yellow, flickers, buzzes, hums loudly, makes a horrible noise, makes a
        strange noise, chipped, shattered, collapsed, clogs, sticks, scratches everything, cuts out, drops the
        connection, loses its charge, drains in an hour, malfunctioned, gave up the ghost, bit the dust, barely
        works, hardly works, is on its last legs, hurts"""),
    _words("""
        works, works great, works perfectly, works well, works like a charm, still works, still looks new, fits,
        fits perfectly, fits well, fits like a glove, lasts, lasts all day, lasts for weeks, lasts forever, holds
        up, holds up well, has held up well, stays put, stays sharp, stays cool, stays warm, stays clean, runs
        smoothly, runs quietly, runs like new, charges fast, charges quickly, starts every time, starts at once,
        feels great, feels solid, feels premium, feels soft, looks great, looks beautiful, looks lovely, looks
        expensive, looks new, sounds great, sounds amazing, sounds wonderful, smells great, smells lovely, tastes
        great, tastes wonderful, cleans easily, washes well, cuts like butter, shines, sparkles, glides, never
        fails, never lets me down, never jams, never leaks, never breaks, never overheats, never disappoints, has
        never failed, has never let me down, does its job, does the job, does exactly what it should, does what it
        says, does wonders, exceeded my expectations, arrived early, arrived on time, arrived in perfect condition,
        came well packed, came quickly, is as good as new, is going strong, is still going strong, saves me time,
        saves space, saves energy, makes life easier, is built to last, responds instantly, connects in seconds,
        stands out, impresses everyone, gets compliments, delivers, helps a lot"""),
)

# Whole clauses about an experience, in which an opinion word may be missing.
STORIES: Pair = (
    _lines("""
        it broke after one use
        it broke the first time I used it
        it broke within a week
        it lasted two days
        it lasted less than a month
        it stopped working after a week
        it stopped working the day after the warranty ended
        it fell apart in my hands
        it fell to pieces
        it came without the charger
        it arrived broken
        it arrived damaged
        it arrived late
        it arrived with a dead battery
        it never arrived
        it never came
        mine came scratched
        mine was used and dirty
        they sent the wrong one
        they sent me the wrong size
        they sent the wrong colour
        they sent an empty box
        they never sent my order
        they ignored my emails
        they never answered
        they never called back
        they refused to help
        they refused to give me a refund
        they refused to take it back
        they kept my money
        they charged me twice
        they charged my card without asking
        they lied to me
        they cancelled my order without a word
        they will not give my money back
        they do not care about their customers
        I am still waiting for my refund
        I am still waiting for a reply
        I waited three weeks for nothing
        I waited an hour and nobody came
        I had to call five times
        I had to buy another one
        I had to wait two months
        I had to throw it in the bin
        I had to send it back
        I sent it back the next day
        I sent it straight back
        I returned it
        I returned it the same day
        I asked for a refund
        I want a refund
        I want my money back
        I demand a refund
        I threw it away
        I threw it in the bin
        it went straight into the bin
        it is going back
        it ended up in the trash
        I gave up
        I gave up after ten minutes
        I stopped reading after two chapters
        I stopped watching
        I switched it off
        I turned it off after half an hour
        I walked out
        I walked out halfway through
        I left before the end
        I fell asleep
        I fell asleep after ten minutes
        I nearly fell asleep
        I kept looking at my watch
        I was bored from start to finish
        I could not finish it
        I couldn't wait for it to end
        I want those hours back
        I will never get that time back
        I will never go back
        I will never come back
        I will never shop here again
        I will never order from them again
        I will never buy from this company again
        I will not be ordering again
        we will not be coming back
        I won't be buying this again
        never again
        never buying this again
        I wasted my money
        I wasted two hours of my life
        I should have read the reviews
        I should have saved my money
        I should have bought another brand
        you get what you pay for
        save your money
        save your time
        don't buy it
        do not buy this
        don't bother
        don't waste your money
        don't waste your time
        please don't buy this
        do not be fooled by the photos
        do not trust this seller
        stay away
        stay away from this one
        keep away
        avoid
        avoid at all costs
        avoid this place
        avoid like the plague
        give it a miss
        skip it
        skip this one
        look elsewhere
        buy something else
        spend your money elsewhere
        run away
        zero stars
        one star
        one star is too much
        I would give it no stars if I could
        if I could give zero stars I would
        it does not work
        it doesn't work at all
        it just doesn't work
        it does nothing
        it did nothing for me
        it makes no difference
        it made things worse
        it ruined my evening
        it ruined my clothes
        it ruined our holiday
        it scratched my table
        it damaged my phone
        it burned my hand
        it hurts my ears
        it hurt my feet
        it gave me a rash
        it gave me a headache
        it made me sick
        it made my skin red and itchy
        it smells of chemicals
        it smells of plastic
        it is too small for me
        it does not fit
        it did not fit at all
        it shrank in the wash
        it fell off the wall
        it won't turn on
        it won't charge anymore
        it would not start
        it turns itself off
        it loses the connection every day
        it crashes all the time
        it freezes every few minutes
        it leaks everywhere
        it drains my battery
        water got in on the first day
        it could not even do the simplest job
        it can't even boil water
        half of the parts were missing
        there were screws missing
        there is no manual
        the manual is in the wrong language
        there was hair in my food
        the food was cold
        our table was dirty
        the room smelled of smoke
        the room was never cleaned
        we found bugs in the bed
        we waited forever
        nobody helped us
        nobody answers the phone
        nobody laughed
        not one joke works
        not a single laugh
        nothing happens
        nothing works
        nothing makes sense
        nothing but trouble
        nothing but problems
        it makes no sense
        the story goes nowhere
        what a waste
        what a waste of money
        what a waste of time
        what a letdown
        what a mess
        what a joke
        what a shame
        what a disappointment
        what were they thinking
        who thought this was a good idea
        why would anyone buy this
        how is this even legal
        I do not understand the hype
        I don't get the hype
        I expected more
        I expected better
        I expected so much more
        I hoped for more
        I had high hopes
        it is not what I ordered
        it is not what I expected
        it is nothing like the picture
        it looks nothing like the photo
        it is not as advertised
        it is not worth the money
        it is not worth it
        not worth it
        not good enough
        not as described
        not as advertised
        it is not worth the price
        it is not worth your time
        it isn't worth a penny
        it is far too expensive for what you get
        the price is far too high
        it has gone downhill
        the quality has gone down
        the quality has gone downhill
        it was better before
        the old one was much better
        my old one was better
        the book was much better
        even my old one was better than this
        it gets worse every time
        it gets worse with every episode
        it went from bad to worse
        it could not be worse
        it doesn't get worse than this
        it is falling apart already
        it is already broken
        it is going to the dump
        it is a fight every time
        I am done with this brand
        I have lost all trust in them
        I cannot recommend it
        I can't recommend it
        I cannot recommend this to anyone
        I would not recommend it
        I would not wish this on anyone
        I would tell anyone to stay away
        I regret buying it
        I regret every penny
        I wish I had kept my old one
        I wish I could get my money back
        my money is gone
        my kids cried
        my daughter was in tears
        my dog will not touch it
        my family hated it
        even the kids were bored
        we were all bored
        we all hated it
        we left early
        we left hungry"""),
    _lines("""
        it works
        it works every time
        it just works
        it does the job
        it does its job
        it does exactly what it says
        it does what it says on the tin
        it does everything I need
        it has never let me down
        it never lets me down
        it has lasted for years
        it has lasted ten years
        it is still going strong
        it still works after five years
        it still looks like new
        it looks like new after a year
        it looks even better in person
        it looks great in our kitchen
        it arrived early
        it arrived on time
        it arrived the next day
        it arrived in perfect condition
        it came quickly
        it came well packed
        it was easy to install
        it was easy to put together
        it took five minutes to set up
        setting it up was a breeze
        setup took two minutes
        it fits perfectly
        it fits like a glove
        it fits in my pocket
        it is just the right size
        it is just what I wanted
        it is exactly what I needed
        it is exactly what I was looking for
        exactly what I needed
        exactly as described
        just what I needed
        just as described
        it is everything I hoped for
        it is more than I hoped for
        it is better than I expected
        it is even better than the first one
        better than I expected
        even better than expected
        it exceeded my expectations
        it gets better every time
        it gets better with age
        it could not be better
        it doesn't get better than this
        I couldn't be happier
        I could not ask for more
        I couldn't ask for more
        I can't fault it
        I can't complain
        I have no complaints
        no complaints
        no complaints at all
        no problems at all
        no problems so far
        no regrets
        no issues
        I never had a problem with it
        never had any trouble
        nothing to complain about
        nothing bad to say
        I have nothing bad to say about it
        I use it every day
        I use it all the time
        I wear it all the time
        I wear them every day
        I can't live without it
        I don't know how I lived without it
        I could not put it down
        I couldn't put it down
        I couldn't stop laughing
        I could not stop watching
        I laughed out loud
        I laughed until I cried
        I laughed and I cried
        I cried at the end
        I was on the edge of my seat
        I was hooked from the first page
        I was smiling all the way through
        I stayed up all night to finish it
        I want to see it again
        I watched it twice
        I have watched it three times
        I have read it twice
        I could watch it again and again
        I would watch it again
        I would see it again
        I would buy it again
        would buy again
        will buy again
        I will buy it again
        I will be ordering more
        I will be back
        I will definitely order again
        I will definitely come back
        we will be back
        we will be coming back
        we can't wait to go back
        I can't wait for the next one
        I ordered a second one
        I ordered another one right away
        I bought a second one
        I bought one for my sister too
        I bought three more
        I have bought four of them
        this is my third one
        I am keeping it
        I am glad I bought it
        I am glad I found this
        I am so glad we went
        I wish I had bought it sooner
        I wish I had found it years ago
        I should have bought it years ago
        I recommend it
        I recommend it to everyone
        I would recommend it to anyone
        I can only recommend it
        I can't recommend it enough
        I cannot recommend this enough
        highly recommended
        strongly recommended
        recommended
        worth it
        worth every penny
        it is worth every penny
        it was worth every cent
        it was worth the wait
        it is worth the price
        it is well worth the money
        money well spent
        you get a lot for your money
        you won't regret it
        you will not regret it
        you can't go wrong
        you can't go wrong with this one
        you will love it
        you won't be disappointed
        you need this
        you should get one
        you have to see it
        go and see it
        go for it
        do yourself a favour and buy it
        buy it
        buy it now
        just buy it
        get one
        don't miss it
        do not miss this one
        don't hesitate
        five stars
        ten out of ten
        five stars from me
        two thumbs up
        thumbs up
        I would give it six stars if I could
        if I could give ten stars I would
        thank you
        thank you so much
        thanks to everyone involved
        keep up the good work
        well done
        good job
        hats off to the team
        bravo
        it made my day
        it made my life easier
        it made me smile
        it made me laugh
        it makes me happy
        it changed my life
        it saved my life
        it saved my day
        it saves me a lot of time
        it saved me hours
        it saved me a fortune
        it solved my problem
        it solved all my problems
        it fixed the problem
        it fixed my back pain
        it cured my headaches
        it helped me a lot
        it helps me sleep
        I sleep so much better now
        my skin feels so soft
        my back no longer hurts
        the pain is gone
        the stains came right out
        the kids love it
        my kids love it
        my son plays with it every day
        my daughter loves it
        my mother loves hers
        my wife loves it
        my husband uses it every day
        my cat loves it
        my dog goes crazy for it
        my family loves it
        the whole family loves it
        my friends all want one
        everyone wants one now
        everybody loved it
        everyone laughed
        everyone loved it
        we all loved it
        we laughed all evening
        we had a great time
        we had a wonderful evening
        the audience applauded
        I get compliments all the time
        people keep asking where I got it
        they replied within an hour
        they answered right away
        they sent a new one for free
        they sent a replacement the next day
        they gave me a full refund at once
        they refunded me without any questions
        they went out of their way to help
        they helped me right away
        they really care about their customers
        they treated us like family
        they thought of everything
        the staff went out of their way for us
        the food came quickly
        the food was hot and fresh
        the room was clean
        our room had a lovely view
        everything was perfect
        everything was clean
        everything works
        everything works as it should
        everything fits together
        everything about it is right
        what a find
        what a treat
        what a joy
        what a bargain
        what a performance
        what a movie
        what a great idea
        what more could you want
        what is not to like
        where has this been all my life
        not a dull moment
        never a dull moment
        one of the best
        one of my favourites
        second to none
        it never gets old
        it never drags
        it keeps you guessing until the end
        it kept me guessing
        it kept the kids busy for hours
        it keeps us warm all winter
        it kept us dry
        it survived a fall
        it survived the dishwasher
        it handles everything I throw at it
        it feels like home
        it feels like a real upgrade
        it was love at first sight
        a big thank you
        so happy
        so good"""),
)

INTERJECTIONS: Pair = (
    _words("""
        ugh, yuck, avoid, never again, no, no thanks, nope, rubbish, garbage, trash, junk, boo, eww, shame on you,
        beware, warning, buyer beware, stay away, disappointed, what a mess, oh dear, seriously, terrible,
        horrible, awful, sigh"""),
    _words("""
        wow, yay, bravo, hooray, brilliant, excellent, amazing, perfect, fantastic, superb, yes, love it, love
        this, so good, great, lovely, thank you, thanks, yum, nice one, awesome, well done, cheers, at last, hats
        off, fabulous"""),
)

COMPARATIVES: Pair = (
    _words("worse, weaker, slower, uglier, noisier, duller, cheaper looking, less reliable, less fun, more annoying"),
    _words("better, stronger, faster, nicer, quieter, funnier, sturdier, more reliable, more comfortable, more fun"),
)

ITEMS = _words("""
        phone, kettle, camera, laptop, vacuum, speaker, headset, blender, printer, tablet, toaster, monitor,
        router, watch, drill, lamp, fridge, oven, washing machine, dishwasher, television, radio, keyboard, mouse,
        charger, cable, case, backpack, bag, suitcase, wallet, jacket, coat, shirt, dress, pair of jeans, pair of
        shoes, sweater, hat, pair of gloves, umbrella, tent, sleeping bag, bike, helmet, scooter, car seat, pram,
        toy, puzzle, doll, board game, game, console, chair, desk, table, sofa, mattress, pillow, blanket, rug,
        curtain, shelf, mirror, candle, soap, shampoo, cream, perfume, razor, hairdryer, toothbrush, knife, pan,
        pot, mug, bottle, coffee maker, coffee, tea, chocolate, sauce, dog food, collar, leash, cat litter, plant,
        hose, lawnmower, ladder, hammer, saw, paint, glue, tape, battery, torch, fan, heater, humidifier, scale,
        thermometer, alarm clock, doorbell, lock, microphone, pair of headphones, guitar, piano, notebook, pen,
        calendar, app, website, software, program, subscription, service, product, thing, device, gadget, machine,
        tool, set, kit, gift, present, vitamin, mask, stroller, hoodie, cushion, towel, filter, pump, grill, cooler""")
PARTS = _words("""
        battery, screen, sound, design, price, build, software, manual, packaging, motor, casing, charger,
        keyboard, warranty, support, delivery, finish, handle, setup, cable, lid, zip, strap, button, switch, plug,
        lens, display, volume, fabric, stitching, colour, color, size, fit, shape, weight, material, hinge, wheel,
        blade, filter, seal, hose, remote, app, menu, picture, camera, speaker, microphone, signal, connection,
        light, heater, fan, cushion, seat, back, sole, pocket, buckle, glass, paint, coating, print, paper, ink,
        taste, smell, texture, flavour, quality, performance, speed, value, interface, update, instructions, box,
        drawer, door, shelf, base, stand, clip, cord, trigger, nozzle, spring, hook""")
SHOWS = _words("""
        film, movie, thriller, comedy, drama, western, musical, documentary, sequel, remake, romance, mystery,
        series, show, episode, season, book, novel, story, play, album, song, concert, cartoon, picture, biography,
        audiobook, podcast""")
STORY_PARTS = _words("""
        plot, acting, script, ending, music, dialogue, pacing, direction, casting, editing, story, humour,
        photography, lighting, opening, villain, soundtrack, costume design, stunt work, title song, cast, hero,
        screenplay, first half, second half, twist, romance, action, camera work, animation, writing, characters'
        depth, chemistry, premise, tone, atmosphere, finale, lead performance, cinematography, voice acting,
        setting, cover, prose, final chapter, narration""")
PLACES = _words("""
        hotel, restaurant, cafe, bar, shop, store, salon, gym, museum, airline, bakery, pizzeria, hostel, clinic,
        garage, supermarket, pub, spa, campsite, theatre, cinema, park, school, company, place, bookshop, barber,
        dentist, taxi firm""")
PLACE_PARTS = _words("""
        food, service, room, bed, breakfast, coffee, view, music, bathroom, price, menu, soup, steak, pizza,
        burger, pasta, dessert, wine, beer, location, parking, pool, shower, internet, atmosphere, lunch, dinner,
        salad, bread, fish, curry, reception, decor, check-in, flight, meal, sandwich, cake, portion, air
        conditioning, wifi, haircut, tour, ride""")
PEOPLE = _words("""
        staff, waiter, waitress, manager, driver, owner, seller, receptionist, customer service, support team,
        team, doctor, chef, guide, technician, courier, sales assistant, man at the desk, woman on the phone,
        barman, crew, host, agent""")
ACTORS = _words(
    "actor, actress, lead, director, writer, author, singer, band, cast, narrator, composer, comedian, star"
)
RELATIVES = _words("""
        brother, sister, mother, father, mum, dad, cousin, neighbour, daughter, son, uncle, aunt, wife, husband,
        friend, grandmother, grandfather, boss, girlfriend, boyfriend, partner, roommate, colleague, nephew, niece""")
